import type { TrainRow } from "./comparison.js";
import type { AdaptersRow, CurvesRow, GenerateRow, LossRow, MemoryRow, PlannedAndMeasured, PlanRow, ResultRow, StartRow } from "./rows.js";
import { gigabytes, markdownTable, percent } from "./table.js";

/** The results in tables, one for each kind of work that was measured. */
export function resultTables(rows: readonly ResultRow[]): string {
  const training = rows.filter((row) => row.kind === "train");
  const tables = [...(training.length === 0 ? [] : [trainTable(training)]), ...rows.flatMap((row) => otherTable(row) ?? [])];
  return tables.join("\n\n");
}

function otherTable(row: ResultRow): string | undefined {
  switch (row.kind) {
    case "train":
      return undefined;
    case "loss":
      return lossTable(row);
    case "start":
      return startTable(row);
    case "generate":
      return generateTable(row);
    case "adapters":
      return adaptersTable(row);
    case "memory":
      return memoryTable(row);
    case "curves":
      return curvesTable(row);
    case "plan":
      return planTable(row);
  }
}

export function trainTable(rows: readonly TrainRow[]): string {
  const cells = rows.flatMap((row) =>
    [...row.all, ...row.peers].map((side, index) => {
      const isOurs = index < row.all.length;
      const name = isOurs ? `Lorikeet ${side.name}` : side.name;
      const isBest = side.name === (isOurs ? row.ours.name : row.peer?.name);
      return [
        index === 0 ? row.work : "",
        isBest ? `${name} (${isOurs ? "ours" : "the peer"})` : name,
        side.tokensPerSecond.toFixed(0),
        gigabytes(side.peakBytes),
        side.loss.toFixed(5),
        isOurs ? "" : (row.ours.tokensPerSecond / side.tokensPerSecond).toFixed(2),
      ];
    }),
  );
  return markdownTable(["work", "engine", "tokens/s", "peak memory", "loss, last step", "ours ÷ this"], cells, 2);
}

function lossTable({ work, steps, seeds, fp32, int8, ratio }: LossRow): string {
  const losses = (name: string, row: { fp32: number; int8: number | null }) => [name, row.fp32.toFixed(5), row.int8?.toFixed(5) ?? ""];
  const ratioOf = (loss: { fp32: number; int8: number | null }) => (loss.int8 === null ? "" : (loss.int8 / loss.fp32).toFixed(4));
  const cells = [
    ...seeds.map((loss, index) => [index === 0 ? work : "", ...losses(`seed ${loss.seed}`, loss), ratioOf(loss)]),
    ["", ...losses("mean", { fp32, int8 }), ratio?.toFixed(4) ?? ""],
  ];
  return markdownTable(["work", `after ${steps} updates`, "held-out loss, fp32", "int8", "int8 ÷ fp32"], cells, 2);
}

function startTable({ work, seconds, runs }: StartRow): string {
  return markdownTable(
    ["work", "seconds to the first update", "runs"],
    [[work, seconds.toFixed(2), runs.map((run) => run.toFixed(2)).join(" ")]],
    1,
  );
}

function generateTable({ work, all, ours, peer }: GenerateRow): string {
  const sides = [...all.map((side) => ({ ...side, name: `Lorikeet ${side.name}` })), ...(peer === null ? [] : [peer])];
  const cells = sides.map((side, index) => [
    index === 0 ? work : "",
    side.name,
    side.prefill.toFixed(0),
    side.decode.toFixed(1),
    side === peer ? (ours.prefill / side.prefill).toFixed(2) : "",
    side === peer ? (ours.decode / side.decode).toFixed(2) : "",
  ]);
  return markdownTable(["work", "engine", "prompt tokens/s", "new tokens/s", "ours ÷ this, prompt", "new"], cells, 2);
}

function adaptersTable({ work, points }: AdaptersRow): string {
  const words = { none: "none", alone: "one for all, by itself" } as const;
  const cells = points.map((point, index) => {
    const { precision, rows, adapters, prefill, decode } = point;
    const one = points.find((each) => each.precision === precision && each.rows === rows && each.adapters === "alone");
    const share = (speed: number, of: number | undefined) => (of === undefined || adapters === "alone" ? "" : (speed / of).toFixed(2));
    return [
      index === 0 ? work : "",
      precision,
      typeof adapters === "string" ? words[adapters] : `${adapters}`,
      `${rows}`,
      prefill.toFixed(0),
      decode.toFixed(1),
      share(prefill, one?.prefill),
      share(decode, one?.decode),
    ];
  });
  const heads = ["work", "precision", "adapters", "rows", "prompt tokens/s", "new tokens/s", "this ÷ one for all, prompt", "new"];
  return markdownTable(heads, cells, 3);
}

function memoryTable({ work, parameters, batch, ours }: MemoryRow): string {
  const cells = [
    work,
    ours.name,
    `${(parameters / 1e9).toFixed(2)} billion`,
    batch.join(" × "),
    ours.tokensPerSecond.toFixed(0),
    gigabytes(ours.peakBytes),
  ];
  return markdownTable(["work", "precision", "parameters", "batch", "tokens/s", "peak memory"], [cells], 2);
}

function planTable({ work, runs }: PlanRow): string {
  const share = ({ planned, measured }: PlannedAndMeasured) => (measured / planned).toFixed(2);
  const cells = runs.map(({ data, precision, gradientCheckpointing, memory, speed }, index) => [
    index === 0 ? work : "",
    data,
    `${precision}${gradientCheckpointing ? ", checkpoints" : ""}`,
    gigabytes(memory.planned),
    gigabytes(memory.measured),
    share(memory),
    speed.planned.toFixed(0),
    speed.measured.toFixed(0),
    share(speed),
  ]);
  return markdownTable(
    ["work", "data", "precision", "planned peak", "measured", "measured ÷ planned", "planned tokens/s", "measured", "measured ÷ planned"],
    cells,
    3,
  );
}

function curvesTable({ work, points }: CurvesRow): string {
  const cells = points.map((point) => [
    `${work}: ${point.curve}`,
    point.side,
    `${point.rows} × ${point.tokens}`,
    `${point.rank}`,
    point.tokensPerSecond.toFixed(0),
    gigabytes(point.peakBytes),
    percent(point.ofLimits.fp32),
    percent(point.ofLimits.int8),
  ]);
  return markdownTable(
    ["work", "precision", "batch", "rank", "tokens/s", "peak memory", "of the fp32 limit", "of the int8 limit"],
    cells,
    2,
  );
}
