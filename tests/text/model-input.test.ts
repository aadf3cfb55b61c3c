import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.js";
import { inputTemplateOf, layOutInput, surroundingTemplate } from "../../src/text/model-input.js";
import { loadTextFromFolder } from "../../src/text/node/load.js";
import type { Step } from "../../src/text/tokenizer-json.js";
import { golden, goldenPath } from "../support/golden.js";

type Input = [text: string, textPair: string | null, maxLength: number | null, truncation: "longest_first" | "only_first" | null];
interface Kind {
  /** Null where Python refuses to cut. */
  inputs: ({ ids: number[]; typeIds: number[] } | null)[];
  offices: Record<string, number>;
}

const { inputs } = golden<{ inputs: Input[] }>("text/tokenizers/texts.json");

describe("one text and pairs, whole and cut, as the tokenizers of transformers lay them out", () => {
  test.each([
    "bert",
    "bert-cased",
    "gemma3",
    "llama2",
    "llama3",
    "modernbert",
    "phi3",
    "prefix-space",
    "qwen3",
    "roberta",
    "unigram",
    "unigram-bytes",
  ])("%s", async (kind) => {
    const expected = golden<Kind>(`text/tokenizers/${kind}.json`);
    const codec = await loadTextFromFolder(goldenPath(`text/tokenizers/${kind}`));
    expect(codec.officeIds).toEqual(expected.offices);
    inputs.forEach(([text, pair, maxLength, truncation], index) => {
      const encode = () =>
        codec.encodeInput(text, pair ?? undefined, {
          ...(maxLength === null ? {} : { maxLength }),
          ...(truncation === null ? {} : { truncation }),
        });
      const wanted = expected.inputs[index];
      if (wanted === null) {
        expect(encode).toThrow(/cutting the first text is not enough/);
        return;
      }
      const got = encode();
      const { ids, typeIds } = got;
      expect({ text, pair, maxLength, truncation, ids, typeIds }).toEqual({ text, pair, maxLength, truncation, ...wanted });
      const whole = codec.encodeInput(text, pair ?? undefined);
      expect(got.cut).toBe(whole.ids.length - ids.length);
    });
  });
});

describe("refusals", () => {
  const template = surroundingTemplate([1], [2]);

  test("no room for a text", () => {
    expect(() => layOutInput(template, [5, 6], undefined, { maxLength: 2 })).toThrow(InputError);
    expect(() => layOutInput(template, [5, 6], [7], { maxLength: 4 })).toThrow(
      /maximum length of 4 leaves no room for text: the model puts 4 tokens around it/,
    );
  });

  test("only_first where the second text alone is too long", () => {
    expect(() => layOutInput(template, [5, 6], [7, 8, 9], { maxLength: 7, truncation: "only_first" })).toThrow(
      /second text alone has 3 tokens, and 3 have room/,
    );
  });

  test("post-processors that are not known, or name a token that is not there", () => {
    const refuse = (step: Step, message: RegExp) => expect(() => inputTemplateOf(step, () => undefined, "F")).toThrow(message);
    refuse({ type: "Klingon" }, /^F: unknown post_processor "Klingon"; known are TemplateProcessing/);
    refuse(
      { type: "TemplateProcessing", single: [{ SpecialToken: { id: "[CLS]", type_id: 0 } }], pair: [], special_tokens: {} },
      /names the token "\[CLS\]", which has no id/,
    );
    const inner: Step = { type: "TemplateProcessing", single: [], pair: [], special_tokens: {} };
    refuse({ type: "Sequence", processors: [inner, inner] }, /2 templates one after the other/);
  });
});
