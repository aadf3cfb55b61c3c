import { type CurvePoint, validationTrend, validationWords } from "../../evaluation/advice.js";
import type { DoneEvent, LabelReport, TradeOffReport, TrainEvent } from "../../workflows/api.js";
import type { Screen } from "../screen.js";
import { labelReportText, measureText } from "./label-report.js";
import { bytesText, countText, durationText, plainNumber, rateText } from "./numbers.js";
import { bar, progressReporter } from "./progress.js";
import { reportText } from "./report.js";

type StepEvent = Extract<TrainEvent, { type: "step" }>;

/** Seconds between two plain lines where there is no live line. */
const plainEvery = 60;

/** Consumes the events of a run and shows them; `finish` writes the ending. */
export interface TrainRenderer {
  show(event: TrainEvent): void;
}

/**
 * Renders a run for people: a live line on a terminal, otherwise a plain line a minute and at each measurement.
 *
 * @param goOn what a person can do after an interruption, as a sentence
 */
export function trainRenderer(screen: Screen, goOn: string): TrainRenderer {
  const paint = screen.paintNotes;
  const progress = progressReporter(screen);
  let nextPlain = 0;
  let lastStep: StepEvent | undefined;
  let validation = "";
  const curve: CurvePoint[] = [];
  let report: { readonly report: TradeOffReport | LabelReport; readonly path: string } | undefined;

  const drawStep = (event: StepEvent) => {
    if (screen.isLive) {
      const line = stepLine(event, screen.columns);
      screen.live(validation === "" ? line : `${line}\n${paint("dim", validation)}`);
    } else if (event.seconds >= nextPlain || event.step === event.steps) {
      screen.note(stepLine(event, Number.POSITIVE_INFINITY));
      nextPlain = event.seconds + plainEvery;
    }
  };

  return {
    show(event) {
      switch (event.type) {
        case "progress":
          progress(event);
          break;
        case "start":
          screen.note(startText(event));
          break;
        case "step":
          lastStep = event;
          drawStep(event);
          break;
        case "evaluation":
          curve.push({ step: event.step, loss: event.loss });
          validation = `validation loss ${plainNumber(event.loss)} (${measuresText(event)}) after update ${event.step}${event.best ? ", the best so far" : ""}`;
          if (!screen.isLive) screen.note(validation);
          else if (lastStep !== undefined) drawStep(lastStep);
          break;
        case "checkpoint":
          if (!screen.isLive) screen.note(`saved ${event.path}`);
          break;
        case "warning":
          screen.warn(`${paint("yellow", "warning:")} ${event.message}`);
          break;
        case "report":
          report = event;
          break;
        case "done":
          screen.endLive();
          screen.say(endingText(event, report, curve, goOn, screen));
          break;
        default:
          event satisfies never;
      }
    },
  };
}

/** What validation says beside the loss. */
const measuresText = ({ metrics, perplexity }: Extract<TrainEvent, { type: "evaluation" }>): string =>
  metrics === undefined ? `perplexity ${plainNumber(perplexity)}` : measureText(metrics);

const anyReportText = (report: TradeOffReport | LabelReport, paint: Screen["paint"]): string =>
  "kind" in report ? labelReportText(report, paint) : reportText(report, paint);

/** "120/400 · epoch 0.9 · loss 1.234 · …", with a bar before it where the columns allow; the least important parts give way first. */
export function stepLine(event: StepEvent, columns: number): string {
  const parts = [
    `${event.step}/${event.steps}`,
    `loss ${event.loss.toFixed(3)}`,
    `${durationText(event.secondsLeft)} left`,
    `${Math.round(event.tokensPerSecond)} tokens/s`,
    `rate ${rateText(event.learningRate)}`,
    bytesText(event.peakBytes),
    `epoch ${event.epoch.toFixed(2)}`,
  ];
  while (parts.length > 1 && parts.join(" · ").length > columns - 1) parts.pop();
  const line = parts.join(" · ");
  const room = Math.min(24, columns - 1 - line.length - 1);
  return columns !== Number.POSITIVE_INFINITY && room >= 8 ? `${bar(event.step / event.steps, room)} ${line}` : line;
}

/** A run bounded by time alone does not know its updates beforehand. */
function updatesText(steps: number): string {
  return steps === 0 ? "as many updates as fit into the time," : `${steps} updates`;
}

function startText(event: Extract<TrainEvent, { type: "start" }>): string {
  const share = (100 * event.trainableParameters) / event.totalParameters;
  const lines = [
    `${event.model}: ${event.layers === 0 ? "" : `${event.layers} layers get an adapter, `}${countText(event.trainableParameters)} of ${countText(event.totalParameters)} parameters are trained (${plainNumber(share)} %).`,
    `${event.trainExamples} examples to learn from, ${event.validationExamples} held out; ${updatesText(event.steps)} on ${event.device}, ${event.precision}.`,
  ];
  if (event.resumedAt !== undefined && event.resumedAt > 0) lines.push(`Resumed after update ${event.resumedAt}.`);
  return [...lines, ...event.notes].join("\n");
}

function endingText(
  done: DoneEvent,
  report: { readonly report: TradeOffReport | LabelReport; readonly path: string } | undefined,
  curve: readonly CurvePoint[],
  goOn: string,
  screen: Screen,
): string {
  const lines: string[] = [];
  if (report !== undefined) lines.push(anyReportText(report.report, screen.paint), "");
  else lines.push(...validationLines(done, curve));
  if (done.ranking !== undefined) lines.push(rankingText(done.ranking));
  const best =
    done.bestLoss === undefined ? "" : `; lowest validation loss ${plainNumber(done.bestLoss)} after update ${done.bestStep ?? done.steps}`;
  lines.push(
    `${done.steps} updates in ${durationText(done.seconds)} (${Math.round(done.tokensPerSecond)} tokens/s, ${bytesText(done.peakBytes)} at the peak)${best}.`,
  );
  if (done.reason === "interrupted") lines.push(`Interrupted and saved. ${goOn}`);
  lines.push(`${done.kind.padEnd(8)} ${done.adapter}`);
  if (report !== undefined) lines.push(`report   ${report.path}`);
  return lines.join("\n");
}

function rankingText({ before, after }: NonNullable<DoneEvent["ranking"]>): string {
  const right = ({ accuracy, anchors }: typeof before) => Math.round(accuracy * anchors);
  const found = `${right(after)} of ${after.anchors} held-out anchors find a positive of their own first among ${after.positives}`;
  const rank = ({ meanReciprocalRank }: typeof before) => meanReciprocalRank.toFixed(3);
  return `${found} (${right(before)} without the adapter); mean reciprocal rank ${rank(after)} (${rank(before)}).`;
}

/** What the validation loss says, where no report says it. The best may lie before what this process saw of a resumed run. */
function validationLines({ reason, bestLoss, bestStep, kind }: DoneEvent, seen: readonly CurvePoint[]): string[] {
  const best = bestLoss === undefined || bestStep === undefined ? [] : [{ step: bestStep, loss: bestLoss }];
  const trend = validationTrend(seen.length === 0 ? [] : [...best, ...seen]);
  const words = trend.course === "falling" && reason === "interrupted" ? undefined : validationWords(trend, kind);
  return words === undefined ? [] : [words];
}
