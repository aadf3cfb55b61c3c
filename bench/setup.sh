#!/bin/sh
# Makes bench/scratch/venv, the Python in which the bench runs PEFT. PYTHON names the interpreter to begin with.
set -eu
cd "$(dirname "$0")"
"${PYTHON:-python3}" -m venv scratch/venv
scratch/venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt
