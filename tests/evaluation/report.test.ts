import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { reportAssets, writeReport } from "../../src/evaluation/node/report-file.js";
import { curveColumns, curveWords, smoothed, tableRows } from "../../src/evaluation/report/curve-data.js";
import { embedJson, html, htmlText, trusted } from "../../src/evaluation/report/html.js";
import { intervalBar } from "../../src/evaluation/report/interval-bar.js";
import { bytesText, changeText, durationText, intervalText, percentText, perplexityText } from "../../src/evaluation/report/numbers.js";
import { DARK, LIGHT } from "../../src/evaluation/report/page-style.js";
import { renderReportHtml } from "../../src/evaluation/report/report-html.js";
import type { TradeOffReport } from "../../src/evaluation/trade-off.js";
import { exampleCurves, exampleReport } from "./report-example.js";

const bare = { uplotScript: "", uplotStyle: "" };
const EVIL = `</script></pre><img src="x" onerror=window.hacked=1><!-- ' & \u2028`;
const perplexityTarget: TradeOffReport["target"] = {
  metric: "perplexity of the answers",
  before: 8.21,
  after: 2.94,
  unit: "perplexity",
  difference: -0.642,
  interval: [-0.67, -0.61],
  n: 12,
  verdict: "gain",
};

describe("templates", () => {
  it("escape every value that is not HTML itself", () => {
    expect(htmlText(html`<p title="${`"'`}">${EVIL}${html`<b>${"<"}</b>`}${["&", trusted("<i>")]}${undefined}${3}</p>`)).toBe(
      `<p title="&quot;&#39;">&lt;/script&gt;&lt;/pre&gt;&lt;img src=&quot;x&quot; onerror=window.hacked=1&gt;&lt;!-- &#39; &amp; \u2028<b>&lt;</b>&amp;<i>3</p>`,
    );
  });

  it("embed JSON that cannot leave its script element", () => {
    const json = htmlText(embedJson({ [EVIL]: EVIL }));
    expect(json).not.toMatch(/[<>&\u2028]/);
    expect(JSON.parse(json)).toEqual({ [EVIL]: EVIL });
  });
});

describe("numbers", () => {
  it("read well at every size", () => {
    expect([0, 0.03, 0.6125, 1].map(percentText)).toEqual(["0 %", "3 %", "61.3 %", "100 %"]);
    expect([1.0412, 14.31, 145.62, 12345.6, 3.2e7].map(perplexityText)).toEqual(["1.04", "14.31", "145.6", "12,346", "3.2e+7"]);
    expect([changeText(0.79, "share"), changeText(-0.0217, "perplexity"), changeText(-0.0001, "share")]).toEqual([
      "+79 points",
      "−2.2 %",
      "0 points",
    ]);
    expect(intervalText([-0.0298, 0.0174])).toBe("−3 to +1.7");
    expect([0.4, 59.6, 401.3, 3725].map(durationText)).toEqual(["0 s", "1 min 00 s", "6 min 41 s", "1 h 02 min"]);
    expect([4.81e9, 2.5e8].map(bytesText)).toEqual(["4.8 GB", "250 MB"]);
  });

  it("are dashes where there is no number", () => {
    const missing = Number.NaN;
    const texts = [percentText, perplexityText, durationText, bytesText].map((text) => text(missing));
    expect([...texts, changeText(Infinity, "perplexity"), intervalText([missing, 0])]).toEqual(Array(6).fill("–"));
  });
});

describe("interval bar", () => {
  const { accuracy, perplexity } = exampleReport().general;
  const svg = (change: Parameters<typeof intervalBar>[0]) => htmlText(intervalBar(change) ?? html``);

  it("draws the interval around zero, better to the right for either unit", () => {
    expect(svg(accuracy)).toContain('<rect class="band" x="20.2%" y="5" width="47.2%"'); // −2.98 to +1.74 of ±5
    expect(svg(perplexity)).toContain('<rect class="band" x="16.6%" y="5" width="22.2%"'); // +1.12 to +3.34, mirrored
    expect(svg(perplexity)).toContain("<span>worse +5</span><span>0</span><span>−5 better</span>");
  });

  it("says in words what it draws", () => {
    expect(svg(accuracy)).toContain('role="img" aria-label="Change −0.6 points, 95 % interval −3 to +1.7."');
  });

  it("draws nothing where there is no interval, and the table says so", () => {
    const unknown = { ...perplexityTarget, interval: null, n: 2, verdict: "unknown" } as const;
    expect(intervalBar(unknown)).toBeUndefined();
    const page = renderReportHtml(exampleReport({ target: unknown }), bare);
    expect(page).toContain('<strong>−64.2 %</strong> <span class="small muted">(no interval)</span></td>');
    expect(page).toContain('<td role="cell" class="verdict unknown"><span aria-hidden="true">?</span> too few examples to tell</td>');
  });

  it("draws nothing where a number is not finite", () => {
    expect(intervalBar({ ...perplexity, interval: [0, Infinity] })).toBeUndefined();
  });
});

describe("the heading", () => {
  const headed = (run: Record<string, unknown>) => renderReportHtml(exampleReport({ run }), bare);

  it.each([
    ["/opt/node_modules/lorikeet/assets/demo/cron-train.jsonl", "demo/cron-train.jsonl"],
    ["C:\\Users\\me\\data\\rows.csv", "data/rows.csv"],
    ["/rows.csv", "rows.csv"],
    ["data/mine/rows.csv", "data/mine/rows.csv"],
  ])("calls %s by its end, and the options have it whole", (data, shown) => {
    const page = headed({ model: "HuggingFaceTB/SmolLM2-135M", data });
    expect(page).toContain(`<title>Training report · HuggingFaceTB/SmolLM2-135M · ${shown}</title>`);
    expect(page).toContain(`<div><dt>data</dt><dd title="${data}">${shown}</dd></div>`);
    expect(page).toContain(`<th scope="row"><code>data</code></th><td class="mono">${data}</td>`);
  });

  it("of a run that trained every weight speaks of the model and not of an adapter", () => {
    const page = renderReportHtml(
      exampleReport({ trained: "model", validation: null, next: "", sentence: "82 of 100 right.", run: {} }),
      bare,
    );
    expect(page).toContain("<h1>What the model learned, and what it cost</h1>");
    expect(page).toContain("as it was (before) and as it was trained (after)");
    expect(page).toContain("Every weight of the model is trained");
    expect(page.replace(/<script[\s\S]*?<\/script>/g, "")).not.toMatch(/adapter/i);
  });
});

describe("curves", () => {
  it("drop what is not a number, share their steps and name the lowest validation loss", () => {
    const columns = curveColumns({
      train: [
        { step: 2, loss: 1 },
        { step: 1, loss: 2 },
        { step: 3, loss: Number.NaN },
      ],
      validation: [
        { step: 2, loss: 1.5 },
        { step: 4, loss: 1.25 },
        { step: 5, loss: 1.75 },
      ],
    });
    expect(columns).toEqual({
      steps: [1, 2, 4, 5],
      training: [2, 1, null, null],
      smoothed: [null, null, null, null],
      validation: [null, 1.5, 1.25, 1.75],
      best: { step: 4, loss: 1.25 },
    });
  });

  it("are smoothed by the mean of the neighbours, without lag", () => {
    expect(smoothed([3, 2, 1])).toBeUndefined();
    const line = Array.from({ length: 200 }, (_, step) => 10 - step / 50);
    expect(smoothed(line)?.[100]).toBeCloseTo(line[100]!, 10);
    const mean = smoothed(line)!;
    expect(mean[0]).toBeCloseTo((line[0]! + line[1]! + line[2]! + line[3]! + line[4]! + line[5]!) / 6, 10);
  });

  it("of a very long run are thinned, spikes and both ends kept", () => {
    const { train } = exampleCurves(50_000);
    const spiked = train.map((point) => (point.step === 31_337 ? { ...point, loss: 99 } : point));
    const { steps, training } = curveColumns({ train: spiked, validation: [] });
    expect(steps.length).toBeLessThan(1600);
    expect([steps[0], steps.at(-1)]).toEqual([1, 50_000]);
    expect(training[steps.indexOf(31_337)]).toBe(99);
  });

  it("are told in words", () => {
    const point = { step: 1, loss: 2.2 };
    expect(curveWords(curveColumns({ train: [], validation: [] }))).toBeUndefined();
    expect(curveWords(curveColumns({ train: [point], validation: [] }))).toBe(
      "Training loss was 2.200 at step 1, the only one recorded. Validation loss was not measured during this run.",
    );
    expect(curveWords(curveColumns({ train: [point, { step: 9, loss: 1 }], validation: [point] }))).toBe(
      "Training loss fell from 2.200 to 1.000 in 9 steps. Validation loss was measured once, 2.200, at step 1.",
    );
  });

  it("give a table of few rows with the measured steps", () => {
    const columns = curveColumns(exampleCurves(300));
    expect(tableRows(columns, 20).map((row) => columns.steps[row])).toEqual([1, 38, 75, 113, 150, 188, 225, 263, 300]);
    expect(tableRows(curveColumns({ ...exampleCurves(300), validation: [] }), 20)).toHaveLength(20);
  });
});

describe("report page", () => {
  it("escapes what the model, the user and the file said, wherever it stands", () => {
    const sample = { prompt: EVIL, expected: EVIL, before: EVIL, after: EVIL };
    const page = renderReportHtml(
      exampleReport({
        target: { ...perplexityTarget, metric: EVIL },
        samples: [sample],
        sentence: EVIL,
        next: EVIL,
        validation: EVIL,
        run: { model: EVIL, [EVIL]: { nested: EVIL }, list: [EVIL] },
      }),
      bare,
    );
    expect(page).not.toContain("<img");
    expect(page).not.toContain("<!--");
    expect(page.match(/<\/script>/g)).toHaveLength(page.match(/<script/g)?.length ?? 0);
  });

  it("keeps an end tag inside a script or style handed in from ending it", () => {
    const page = renderReportHtml(exampleReport(), { uplotScript: 'var a = "</SCRIPT>";\r\n', uplotStyle: "/*</style>*/" });
    expect(page).toContain('var a = "<\\/SCRIPT>";\n');
    expect(page).toContain("/*<\\/style>*/");
  });

  it("holds no number that is none, whatever is missing in the record", () => {
    const { target, general, cost } = exampleReport();
    const broken = { before: Number.NaN, after: Number.NaN, difference: Number.NaN, interval: [-Infinity, Infinity] as const };
    const report = exampleReport({
      target: { ...target, ...broken },
      general: { accuracy: { ...general.accuracy, ...broken }, perplexity: { ...general.perplexity, ...broken } },
      cost: { ...cost, peakBytes: Number.NaN },
      curves: { train: [{ step: 1, loss: Number.NaN }], validation: [] },
      samples: [],
      run: {},
    });
    for (const record of [report, JSON.parse(JSON.stringify(report)) as TradeOffReport]) {
      const page = renderReportHtml(record, bare).replace(/<script>[\s\S]*?<\/script>/g, "");
      expect(page).not.toMatch(/NaN|Infinity|undefined|>null</);
      expect(page).toContain("No losses were recorded in this run.");
    }
  });

  it.each([
    ["light", LIGHT],
    ["dark", DARK],
  ] as const)("has text that stands out from its ground in the %s theme (WCAG 2.2, 1.4.3: 4.5 to 1)", (_, theme) => {
    for (const ground of [theme.paper, theme.surface]) {
      for (const text of [theme.ink, theme.muted, theme.accent, theme.second, theme.gain, theme.loss, theme.none]) {
        expect(contrast(text, ground)).toBeGreaterThanOrEqual(4.5);
      }
    }
  });
});

describe("in a browser", () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lorikeet-report-"));
    browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Opens a report; `problems` gathers console messages, errors and requests for anything but the page. */
  async function open(report: TradeOffReport, options: BrowserContextOptions = {}): Promise<{ page: Page; problems: string[] }> {
    const { html: path } = await writeReport(folder, report);
    const page = await browser.newPage(options);
    const problems: string[] = [];
    page.on("console", (message) => problems.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
    page.on("request", (request) => {
      if (request.url() !== pathToFileURL(path).href && request.url() !== "data:,") problems.push(`request: ${request.url()}`);
    });
    await page.goto(pathToFileURL(path).href);
    return { page, problems };
  }

  /** How many pixels of the chart have the colour, give or take the rounding of a blend. */
  function pixels(page: Page, colour: string): Promise<number> {
    const channels = [1, 3, 5].map((start) => Number.parseInt(colour.slice(start, start + 2), 16));
    return page.evaluate<number>(`new Promise((resolve) => requestAnimationFrame(() => {
      const canvas = document.querySelector("#curve-chart canvas");
      if (!canvas) return resolve(-1);
      const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
      const context = copy.getContext("2d", { willReadFrequently: true });
      context.drawImage(canvas, 0, 0);
      const { data } = context.getImageData(0, 0, copy.width, copy.height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] > 250 && ${JSON.stringify(channels)}.every((value, channel) => Math.abs(data[i + channel] - value) < 3)) count++;
      }
      resolve(count);
    }))`);
  }

  it("draws the curves and marks the best point, with no message, error or request", async () => {
    const { page, problems } = await open(exampleReport());
    expect(await pixels(page, LIGHT.accent)).toBeGreaterThan(500);
    expect(await pixels(page, LIGHT.second)).toBeGreaterThan(200);
    expect(await pixels(page, LIGHT.ink)).toBeGreaterThan(50); // the words at the best point
    await page.locator("#curve-chart .u-over").hover({ position: { x: 400, y: 60 } });
    await expect.poll(() => page.locator("#curve-readout").textContent()).toMatch(/^step \d+ · training \d\.\d{3} · smoothed \d\.\d{3}/);
    expect(problems).toEqual([]);
    await page.close();
  });

  it("says the outcome first, then the table with its headers, the samples with right and wrong in words", async () => {
    const { page } = await open(exampleReport());
    expect(await page.title()).toBe("Training report · smollm2-135m · assets/cron/train.jsonl · runs/cron");
    expect(await page.locator(".lede").textContent()).toMatch(
      /^82 of 100 right, 3 before; [^;]+2\.2 % higher\.\s+Next: try the adapter with lorikeet chat\.$/,
    );
    expect(await page.getByRole("heading", { level: 2 }).allTextContents()).toEqual([
      "Gained and lost",
      "What the model says now",
      "How the training went",
      "What it took",
      "More about this run",
    ]);
    const table = page.getByRole("table").first();
    expect(await table.getByRole("columnheader").allTextContents()).toEqual([
      "What was measured",
      "Before",
      "After",
      "Change, 95 % interval",
      "In words",
    ]);
    expect(await table.getByRole("rowheader").locator("strong").allTextContents()).toEqual([
      "Your task",
      "General questions",
      "General text",
    ]);
    expect(await table.locator(".verdict").allTextContents()).toEqual(["▲ measurable gain", "≈ no measurable loss", "▼ measurable loss"]);
    expect(await page.locator(".sample .tag").allTextContents()).toEqual([
      "✗ wrong",
      "✓ right",
      "✗ wrong",
      "✓ right",
      "✗ wrong",
      "✗ wrong",
    ]);
    expect(await page.getByRole("img", { name: /^Chart of the losses\. Training loss, smoothed, fell from/ }).count()).toBe(1);
    expect(await page.locator(".note").textContent()).toMatch(/^Validation loss was lowest, 0\.333, at step 225 and rose/);
    await page.close();
  });

  it("shows texts letter by letter, and runs nothing that stands in them", async () => {
    const text = `\n  ${EVIL}\n\tsecond line`;
    const { page, problems } = await open(
      exampleReport({ samples: [{ prompt: EVIL, expected: text, before: "long ".repeat(300), after: text }], run: { model: EVIL } }),
    );
    expect(await page.locator(".answers pre").first().textContent()).toBe(text);
    expect(await page.locator(".sample .tag").allTextContents()).toEqual(["✗ not as expected", "✓ as expected"]);
    expect(await page.getByRole("region", { name: "Prompt 1, answer before" }).getAttribute("tabindex")).toBe("0");
    expect(await page.evaluate("window.hacked")).toBeUndefined();
    expect(problems).toEqual([]);
    await page.close();
  });

  it("forbids handlers, foreign scripts and the network even to markup that had come in", async () => {
    const { page } = await open(exampleReport());
    const refused = await page.evaluate(`(async () => {
      const refused = [];
      addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
      document.body.insertAdjacentHTML("beforeend", '<p onclick="window.hacked = 1"></p><img src="x">');
      document.body.lastElementChild.previousElementSibling.click();
      const script = document.createElement("script");
      script.textContent = "window.hacked = 2";
      document.body.append(script);
      await fetch("http://127.0.0.1:9/").catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return [window.hacked, ...new Set(refused)].sort();
    })()`);
    expect(refused).toEqual(["connect-src", "img-src", "script-src-attr", "script-src-elem", undefined]);
    await page.close();
  });

  it.each([
    ["one point and no validation", { train: [{ step: 1, loss: 2.2 }], validation: [] }],
    ["validation alone", { train: [], validation: [{ step: 8, loss: 0 }] }],
    ["a run of 50 000 steps", exampleCurves(50_000)],
  ])("draws %s", async (_, curves) => {
    const { page, problems } = await open(exampleReport({ target: perplexityTarget, curves, validation: null }));
    expect((await pixels(page, LIGHT.accent)) + (await pixels(page, LIGHT.second))).toBeGreaterThan(10);
    expect(problems).toEqual([]);
    await page.close();
  });

  it("fits a telephone", async () => {
    const wide = { prompt: "p".repeat(500), expected: "e".repeat(300), before: "/".repeat(2000), after: "a\n".repeat(40) };
    const run = { model: `models/${"m".repeat(200)}`, layers: { pattern: "q".repeat(300) } };
    const { page } = await open(exampleReport({ samples: [wide], run }), { viewport: { width: 390, height: 844 } });
    await page.evaluate(`document.querySelectorAll("details").forEach((fold) => { fold.open = true; })`);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
    expect(await page.locator("table").first().getByRole("cell").count()).toBe(12); // still a table for a screen reader
    await page.close();
  });

  it("follows the theme, and prints in ink with everything unfolded, then goes back", async () => {
    const { page, problems } = await open(exampleReport(), { colorScheme: "dark" });
    expect(await pixels(page, DARK.accent)).toBeGreaterThan(500);
    await page.emulateMedia({ colorScheme: "light" });
    await expect.poll(() => pixels(page, LIGHT.accent)).toBeGreaterThan(500);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.evaluate(`dispatchEvent(new Event("beforeprint"))`);
    await expect.poll(() => pixels(page, LIGHT.accent)).toBeGreaterThan(400);
    expect(await page.locator("details:not([open])").count()).toBe(0);
    await page.evaluate(`dispatchEvent(new Event("afterprint"))`);
    await expect.poll(() => pixels(page, DARK.accent)).toBeGreaterThan(500);
    expect(await page.locator("details[open]").count()).toBe(0);
    expect((await page.pdf({ format: "A4" })).byteLength).toBeGreaterThan(10_000);
    expect(problems).toEqual([]);
    await page.close();
  });
});

describe("files", () => {
  it("are written whole, the page and the record, and nothing else stays", async () => {
    const root = await mkdtemp(join(tmpdir(), "lorikeet-report-"));
    const folder = join(root, "new", "run");
    const report = exampleReport();
    const files = await writeReport(folder, report);
    expect(files).toEqual({ html: join(folder, "report.html"), json: join(folder, "report.json") });
    expect((await readdir(folder)).sort()).toEqual(["report.html", "report.json"]);
    expect(JSON.parse(await readFile(files.json, "utf8"))).toEqual(report);
    const page = await readFile(files.html, "utf8");
    expect(page).toBe(renderReportHtml(report, await reportAssets()));
    expect(page).toMatch(/script-src 'sha256-[^']+' 'sha256-[^']+' 'sha256-[^']+';/);
    expect(page).not.toContain("unsafe-inline");
    await rm(root, { recursive: true });
  });

  it("say where they could not be written", async () => {
    const root = await mkdtemp(join(tmpdir(), "lorikeet-report-"));
    await writeFile(join(root, "file"), "");
    await expect(writeReport(join(root, "file"), exampleReport())).rejects.toThrow(/was not written/);
    await rm(root, { recursive: true });
  });
});

/** Contrast ratio of two colours `#rrggbb` (WCAG 2.2, relative luminance). */
function contrast(one: string, other: string): number {
  const luminance = (colour: string) => {
    const [red, green, blue] = [1, 3, 5].map((start) => {
      const value = Number.parseInt(colour.slice(start, start + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
  };
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light! + 0.05) / (dark! + 0.05);
}
