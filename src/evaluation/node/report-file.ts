import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { RunError } from "../../errors.js";
import { makeFolder } from "../../files/node/make-folder.js";
import { errorCode, explainWriteFailure, writeFileAtomic } from "../../weights/node/atomic-file.js";
import type { LabelReport } from "../labels/label-report.js";
import { type PrintableInspection, renderAdapterPage } from "../report/adapter/adapter-page.js";
import { renderLabelPage } from "../report/label-page.js";
import { type PrintableReport, type ReportAssets, renderReportHtml } from "../report/report-html.js";

/** Paths of a written report. */
export interface ReportFiles {
  /** The page for people. */
  readonly html: string;
  /** The record, for programs. */
  readonly json: string;
}

/**
 * Writes `report.html` and `report.json` into a folder, which is made if need be. Each is written whole or not at all.
 *
 * @throws RunError if the folder cannot be written or the chart library is not installed.
 */
export async function writeReport(folder: string, report: PrintableReport): Promise<ReportFiles> {
  return writeReportFiles(folder, report, renderReportHtml(report, await reportAssets()));
}

/** The same for a task with labels. */
export async function writeLabelReport(folder: string, report: LabelReport): Promise<ReportFiles> {
  return writeReportFiles(folder, report, renderLabelPage(report, await reportAssets()));
}

/** Writes the page of an adapter; the folder that it shall lie in is made if need be. */
export async function writeAdapterPage(path: string, inspection: PrintableInspection): Promise<void> {
  await makeFolder(dirname(path));
  await writeFileAtomic(path, renderAdapterPage(inspection, sha256));
}

async function writeReportFiles(folder: string, report: unknown, page: string): Promise<ReportFiles> {
  const files = { html: join(folder, "report.html"), json: join(folder, "report.json") };
  await makeReportFolder(folder);
  await writeFileAtomic(files.json, `${JSON.stringify(report, null, 2)}\n`);
  await writeFileAtomic(files.html, page);
  return files;
}

/** A file in the folder's place is left to the write, which says so. */
async function makeReportFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw explainWriteFailure(folder, error);
  }
}

/** The installed uPlot's texts and this platform's SHA-256. */
export async function reportAssets(): Promise<Required<ReportAssets>> {
  const [uplotScript, uplotStyle] = await Promise.all([uplotFile("uPlot.iife.min.js"), uplotFile("uPlot.min.css")]);
  return { uplotScript, uplotStyle, sha256 };
}

const sha256 = (text: string): string => createHash("sha256").update(text, "utf8").digest("base64");

async function uplotFile(name: string): Promise<string> {
  try {
    return await readFile(createRequire(import.meta.url).resolve(`uplot/dist/${name}`), "utf8");
  } catch (cause) {
    throw new RunError(
      `The report's chart needs ${name} of the package uplot, which was not found. Install Lorikeet's packages again: npm ci.`,
      {
        cause,
      },
    );
  }
}
