import { PassThrough, Writable } from "node:stream";
import type { Io } from "../../src/cli/io.js";
import { run } from "../../src/cli/run.js";
import type { DoneEvent, TradeOffReport, TrainEvent, Workflows } from "../../src/workflows/api.js";

/** A stream that keeps what was written. */
export class Sink extends Writable {
  text = "";
  readonly columns = 100;
  constructor(readonly isTTY: boolean) {
    super();
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

export interface FakeIo extends Io {
  readonly stdin: PassThrough & { isTTY?: boolean };
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly exits: number[];
  interrupt(): void;
}

export function fakeIo({ terminal = false, env = {} }: { terminal?: boolean; env?: Record<string, string> } = {}): FakeIo {
  const listeners = new Set<() => void>();
  const exits: number[] = [];
  return {
    stdin: new PassThrough(),
    stdout: new Sink(terminal),
    stderr: new Sink(terminal),
    env,
    exits,
    exit: (code) => void exits.push(code),
    onInterrupt(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    interrupt: () => {
      for (const listener of [...listeners]) listener();
    },
  };
}

/** Workflows of which a test writes the few that it needs; calling another fails the test. */
export function fakeWorkflows(some: Partial<Workflows>): Workflows {
  return new Proxy({} as Workflows, {
    get: (_, name: keyof Workflows) =>
      some[name] ??
      (() => {
        throw new Error(`the workflow ${name} was not expected`);
      }),
  });
}

export async function runWith(argv: readonly string[], some: Partial<Workflows> = {}, io = fakeIo()) {
  const code = await run(argv, io, fakeWorkflows(some));
  return { code, out: io.stdout.text, err: io.stderr.text, io };
}

export const report: TradeOffReport = {
  version: 1,
  target: {
    metric: "exact match",
    unit: "share",
    before: 0.03,
    after: 0.82,
    difference: 0.79,
    interval: [0.7, 0.87],
    n: 100,
    verdict: "gain",
  },
  general: {
    accuracy: { unit: "share", before: 0.41, after: 0.4, difference: -0.01, interval: [-0.03, 0.01], n: 320, verdict: "none", bySkill: {} },
    perplexity: { unit: "perplexity", before: 20.1, after: 20.9, difference: 0.0398, interval: [0.01, 0.07], n: 40, verdict: "loss" },
  },
  samples: ["every day at nine", "on Mondays", "each\u001b[2Jminute", "a fourth that is not shown"].map((prompt) => ({
    prompt,
    expected: "0 9 * * *",
    before: "I can help you with that.",
    after: "0 9 * * *",
  })),
  sentence: "82 of 100 right, 3 before; general ability unchanged within noise; next: use it.",
  next: "use it",
  validation: "The validation loss still falls.",
  curves: { train: [{ step: 1, loss: 2 }], validation: [] },
  cost: { seconds: 61, tokensPerSecond: 431.7, peakBytes: 2.1e9 },
  run: {},
};

export const done: DoneEvent = {
  type: "done",
  steps: 3,
  reason: "finished",
  adapter: "out/adapter",
  kind: "adapter",
  seconds: 61,
  tokensPerSecond: 431.7,
  peakBytes: 2.1e9,
  bestLoss: 1.1,
  bestStep: 2,
};

/** A short run as the trainer tells it. */
export function script(): TrainEvent[] {
  const step = (n: number, seconds: number): TrainEvent => ({
    type: "step",
    step: n,
    steps: 3,
    epoch: n / 3,
    loss: 2 / n,
    gradientNorm: 1,
    learningRate: 2e-4,
    tokens: 900,
    supervisedTokens: 100,
    tokensPerSecond: 431.7,
    seconds,
    peakBytes: 2.1e9,
    secondsLeft: 3 - n,
  });
  return [
    { type: "progress", task: "downloading model.safetensors", done: 1e6, total: 2.7e8, unit: "bytes" },
    {
      type: "start",
      model: "smollm2-135m",
      layers: 210,
      trainableParameters: 4_884_480,
      totalParameters: 134_515_008,
      trainExamples: 900,
      validationExamples: 100,
      steps: 3,
      device: "cpu",
      precision: "fp32",
      notes: ["100 of 1000 rows are held out."],
    },
    step(1, 1),
    step(2, 2),
    { type: "evaluation", step: 2, loss: 1.1, perplexity: 3.004, best: true },
    { type: "checkpoint", step: 2, path: "out/checkpoint" },
    { type: "warning", message: "validation loss rises" },
    step(3, 3),
    { type: "report", report, path: "out/report.html" },
    done,
  ];
}

export async function* events(list: readonly TrainEvent[]): AsyncGenerator<TrainEvent> {
  yield* list;
}
