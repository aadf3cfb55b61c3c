import { createHash } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { type PrintableInspection, renderAdapterPage } from "../../src/evaluation/report/adapter/adapter-page.js";
import { inspectAdapter } from "../../src/lora/inspection.js";
import { readAdapterFolder } from "../../src/lora/node/adapter-folder.js";
import { openSafetensorsFile } from "../../src/weights/node/open-checkpoint.js";
import { goldenPath } from "../support/golden.js";

let inspection: PrintableInspection;
let page: string;
const sha256 = (text: string) => createHash("sha256").update(text).digest("base64");
const textOf = (html: string) => html.replace(/<style>[\s\S]*?<\/style>|<script>[\s\S]*?<\/script>|<[^>]+>/g, " ").replace(/\s+/g, " ");
const cells = (html: string, heading: string) => [
  ...(html.split(`>${heading}</h2>`)[1]?.split("</section>")[0] ?? "").matchAll(
    /<rect [^>]*fill-opacity="([\d.]+)"><title>([^<]*)<\/title>/g,
  ),
];

beforeAll(async () => {
  const weights = await openSafetensorsFile(goldenPath("tiny-llama/model.safetensors"));
  const adapter = await readAdapterFolder(goldenPath("tiny-llama/adapter"));
  inspection = {
    ...(await inspectAdapter(adapter, {
      weightOf: ({ name }) => weights.readFloat32(`${name}.weight`),
      other: await readAdapterFolder(goldenPath("lora/patterns")),
    })),
    directory: "my <adapter>",
    with: "lora/patterns",
    notes: ["A note & more."],
  };
  page = renderAdapterPage(inspection, sha256);
});

describe("the page of an adapter", () => {
  it("has a cell for every layer, fuller where the change is larger, which tells its number", () => {
    const drawn = cells(page, "Where the model changed");
    expect(drawn).toHaveLength(inspection.layers.length);
    const share = ({ norm, amplification }: PrintableInspection["layers"][number]) => norm / amplification!.weightNorm;
    const most = Math.max(...inspection.layers.map(share));
    for (const layer of inspection.layers) {
      const [, block, kind] = /layers\.(\d+)\..*\.(\w+)$/.exec(layer.name)!;
      const cell = drawn.find(([, , title]) => title === `${kind}, block ${block}: ${Number(share(layer).toPrecision(3))}`);
      expect(Number(cell?.[1]), layer.name).toBeCloseTo(0.06 + (0.94 * share(layer)) / most, 1);
    }
  });

  it("says in words what its pictures show, from the numbers", () => {
    const words = textOf(page);
    const used = inspection.layers.reduce((sum, { effectiveRank }) => sum + effectiveRank, 0) / inspection.layers.length;
    expect(words).toContain(`On average a layer uses ${Number(used.toPrecision(3))} of the 4 directions that its rank gives it.`);
    const factors = inspection.layers.map(({ amplification }) => amplification!.factor!).sort((a, b) => a - b);
    const middle = (factors[factors.length / 2 - 1]! + factors[factors.length / 2]!) / 2;
    expect(words).toContain(`In the middle layer the factor is ${Number(middle.toPrecision(3))}.`);
    expect(words).toContain("The largest change is at model.layers.");
    expect(words).toMatch(/the strongest direction of each is [\d.]+ % that of the other/);
  });

  it("has a field of φ for each kind that both adapters have", () => {
    const kinds = new Set(inspection.layers.filter(({ similarity }) => similarity !== undefined).map(({ name }) => name.split(".").at(-1)));
    const section = page.split(">The same directions?</h2>")[1]!.split("</section>")[0]!;
    expect([...section.matchAll(/<h3>(\w+)<\/h3>/g)].map(([, kind]) => kind).sort()).toEqual([...kinds].sort());
  });

  it("escapes what it is given, needs no script and reaches for nothing outside", () => {
    expect(page).toContain("my &lt;adapter&gt;");
    expect(page).toContain("A note &amp; more.");
    expect(page).not.toMatch(/(?:src|href)="(?!data:)/);
    expect(page).not.toMatch(/ style="/); // its own policy forbids it
    expect(page.match(/<script>/g)).toHaveLength(1); // printing, as on every page
  });

  it("has no section on what was not compared, and says when nothing was changed", () => {
    const layers = inspection.layers.map(({ amplification: _a, similarity: _s, ...layer }) => layer);
    const { with: _with, ...alone } = inspection;
    const plain = renderAdapterPage({ ...alone, layers });
    expect(plain).not.toContain("The same directions?");
    expect(plain).not.toContain("What it does to the model");
    const zero = layers.map((layer) => ({ ...layer, norm: 0, effectiveRank: 0, singularValues: layer.singularValues.map(() => 0) }));
    expect(textOf(renderAdapterPage({ ...alone, norm: 0, layers: zero }))).toContain("This adapter changes nothing");
    expect(renderAdapterPage({ ...alone, norm: 0, layers: zero })).not.toMatch(/NaN|Infinity/);
  });
});
