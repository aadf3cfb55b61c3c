/** The path of SmolLM2-135M-Instruct's GGUF: LORIKEET_TEST_GGUF. */
export function smollm2Path(): Promise<string> {
  const local = process.env.LORIKEET_TEST_GGUF;
  return local === undefined ? Promise.reject(new Error("LORIKEET_TEST_GGUF is not set")) : Promise.resolve(local);
}
