import { integer, option, text } from "../option.js";
import { type OptionsOf, optionSet, type ValuesOf } from "../parse-options.js";
import { groups } from "./common.js";

export const rankSet = optionSet(
  "rank",
  "Show how much of a matrix is independent: its rank, its singular values, and how near matrices of lower rank come. " +
    "Example: with B = [[1,2],[3,4],[5,6],[7,8]] and C = [[1,0,1,0,1],[0,1,0,1,0]] the 4 × 5 matrix B·C has 20 numbers and rank 2: the 18 of B and C say it all.",
  {
    file: option(text("numbers as text (.csv), a .npy file, or a checkpoint (.safetensors, .gguf or a model's folder)"), {
      required: true,
      positional: true,
      value: "FILE",
      group: groups.files,
      help: "The matrix: a .csv file with a line for each row, a .npy file, or a checkpoint that --tensor names a matrix of.",
    }),
    tensor: option(text("the name of a tensor"), {
      value: "NAME",
      group: groups.files,
      without: "the only matrix in the file",
      help: "Which matrix of a checkpoint, by its name there, such as model.layers.0.self_attn.q_proj.weight.",
    }),
    best: option(integer({ min: 1, max: 100_000 }), {
      value: "R",
      group: groups.output,
      without: "no factors",
      help: "Give the best approximation of rank R as well: factors B, with R columns, and C, with R rows, of which the product is nearest.",
    }),
    out: option(text("a folder"), {
      value: "DIR",
      group: groups.output,
      without: "small factors are shown",
      help: "With --best: the folder that receives the factors as B.npy and C.npy.",
    }),
  },
  (given, where) =>
    "out" in given && !("best" in given) ? [`${where("out")} needs ${where("best")}: without it there are no factors`] : [],
);

export type RankOptions = OptionsOf<(typeof rankSet)["shape"]>;
export type RankSettings = ValuesOf<(typeof rankSet)["shape"]>;
