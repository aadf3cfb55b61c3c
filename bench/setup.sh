#!/bin/sh
# Makes bench/work/venv, the Python in which the bench runs PEFT. PYTHON names the interpreter to begin with.
set -eu
cd "$(dirname "$0")"
"${PYTHON:-python3}" -m venv work/venv
work/venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt
