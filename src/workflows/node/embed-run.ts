import { measuringBatches } from "../../data/batch.js";
import { readRows } from "../../data/node/read-rows.js";
import { longestOf, longestRow } from "../../data/packing.js";
import { InputError } from "../../errors.js";
import type { Adapter } from "../../lora/adapter.js";
import { fromBareModel } from "../../lora/bare-model.js";
import { checkFit } from "../../lora/fit.js";
import { inferenceAdapter } from "../../lora/inference.js";
import { readAdapterFolder } from "../../lora/node/adapter-folder.js";
import { runnableLayers } from "../../lora/tables.js";
import type { ModelGraph } from "../../models/architecture.js";
import { nodeEngine } from "../../runtime/node/engine.js";
import { EmbeddingProgram } from "../../training/embedding-program.js";
import type { EmbedResult, Progress } from "../api.js";
import { type EmbedSettings, embedSet, inCode, parseOptions } from "../options.js";
import { type DownloadContext, findAdapter } from "./adapter-place.js";
import { weightsOf } from "./applied-adapter.js";
import { targetOf } from "./device.js";
import { describeEmbedding, encodedText } from "./embedded-text.js";
import { type DescribedModel, mapModel } from "./open-model.js";
import { fetchWith, type PassOptions } from "./row-pass.js";
import { breathe, type WorkerContext } from "./worker/context.js";

/** The work of `embed`, in its worker. */
export async function runEmbed(given: unknown, { signal, emit }: WorkerContext): Promise<EmbedResult> {
  const settings: EmbedSettings = parseOptions(embedSet, given, inCode);
  const notes: string[] = [];
  const onProgress = (progress: Progress) => emit(progress);
  const opening = { signal, onProgress, onNotice: (note: string) => notes.push(note) };
  const { described, embedding } = await describeEmbedding(settings.model, opening);
  const stored = settings.adapter === undefined ? undefined : await readEmbeddingAdapter(settings.adapter, described, { signal, emit });
  const longest = described.model.dimensions.maxPositions;
  const texts = (await textsOf(settings, opening)).map((text) => encodedText(described.codec, text, embedding.pooling, longest));
  const cut = texts.filter((text) => text.cut).length;
  if (cut > 0) notes.push(`${cut} of ${texts.length} texts are longer than ${longest} tokens and cut at their end`);

  const opened = await mapModel(described, { target: targetOf(settings.device), threads: settings.threads }, { signal, onProgress });
  const adapter = stored === undefined ? undefined : await inferenceAdapter(stored, opened.model, weightsOf(opened));
  const maxTokens = longestRow(longestOf(texts));
  const program = await EmbeddingProgram.compile(nodeEngine, { model: opened.model, embedding, adapter, maxTokens }, opened.compile);
  try {
    const vectors = new Array<Float32Array>(texts.length);
    let done = 0;
    for (const { batch, indexes } of measuringBatches(texts, settings.batchSize)) {
      const found = await program.run(batch);
      const size = found.length / indexes.length;
      for (const [at, index] of indexes.entries()) vectors[index] = found.slice(at * size, (at + 1) * size);
      done += indexes.length;
      emit({ task: "embedding texts", done, total: texts.length, unit: "items" } satisfies Progress);
      await breathe();
      signal.throwIfAborted();
    }
    return { model: settings.model, ...embedding, vectors, notes };
  } finally {
    await program.release();
  }
}

/**
 * An adapter of a model that embeds, by the names of its layers.
 *
 * @throws InputError where it does not fit, with every mismatch.
 */
export async function readEmbeddingAdapter(
  directory: string,
  { name, model }: Pick<DescribedModel<ModelGraph>, "name" | "model">,
  context: DownloadContext = {},
): Promise<Adapter> {
  const adapter = fromBareModel(await readAdapterFolder(await findAdapter(directory, context)), model);
  checkFit(adapter, runnableLayers(model, adapter.config.method), name, { model });
  return adapter;
}

/** The texts given, then those of the file. */
async function textsOf({ text = [], data, columns }: EmbedSettings, pass: PassOptions): Promise<readonly string[]> {
  const rows = data === undefined ? [] : (await readRows(data, { columns, fetchDataSet: fetchWith(pass) })).rows;
  const found = rows.map(({ row, source }) => {
    if (row.kind === "text") return row.text;
    throw new InputError(
      `${source.file}:${source.line}: expected a row with "text", found one to be answered. Give {"text": "…"} in each line.`,
    );
  });
  const texts = [...text, ...found];
  if (texts.length > 0) return texts;
  throw new InputError("There is no text to embed. Give some with --text, or a file of rows with --data.");
}
