import type { ModelGraph } from "../../models/architecture.js";
import type { OnnxWeightType } from "./weight-forms.js";

type Json = Readonly<Record<string, unknown>>;

/** What transformers.js calls a type, and how the file's name ends.                            transformers.js: src/utils/dtypes.js */
export const onnxTypes: Readonly<Record<OnnxWeightType, { readonly dtype: string; readonly suffix: string }>> = {
  f32: { dtype: "fp32", suffix: "" },
  q8: { dtype: "q8", suffix: "_quantized" },
  q4: { dtype: "q4", suffix: "_q4" },
};

/** The name of the model in the folder `onnx`. */
export const onnxFileName = (type: OnnxWeightType): string => `model${onnxTypes[type].suffix}.onnx`;

/**
 * The `config.json` of a folder for transformers.js: that of the merged model, with the type that is there, so that it need not be named,
 * and the number of files with weights beside it. A model of texts and images is its text model alone.
 *
 * @param config of the base
 */
export function folderConfig(
  config: Json,
  { modelType }: Pick<ModelGraph, "modelType">,
  { type, dataFiles, untied }: { readonly type: OnnxWeightType; readonly dataFiles: number; readonly untied: boolean },
): Json {
  const { quantization_config: _, dtype: _dtype, torch_dtype: _torch, ...own } = modelType === "gemma3" ? textConfig(config) : config;
  return {
    ...own,
    ...(untied ? { tie_word_embeddings: false } : {}),
    dtype: "float32",
    "transformers.js_config": {
      dtype: onnxTypes[type].dtype,
      ...(dataFiles === 0 ? {} : { use_external_data_format: { [onnxFileName(type)]: dataFiles } }),
    },
  };
}

function textConfig({ text_config: text, tie_word_embeddings: tied, ...config }: Json): Json {
  const named = ["bos_token_id", "eos_token_id", "pad_token_id"].flatMap((name) =>
    config[name] === undefined ? [] : [[name, config[name]]],
  );
  return {
    ...Object.fromEntries(named),
    ...(text as object),
    architectures: ["Gemma3ForCausalLM"],
    model_type: "gemma3_text",
    ...(tied === undefined ? {} : { tie_word_embeddings: tied }),
  };
}
