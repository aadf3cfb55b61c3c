// node examples/run.mjs stream-over-http [MODEL [ADAPTER]]       PORT=8080 by default
// curl -N http://127.0.0.1:8080 -d "Every Monday at nine in the morning"
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { generate, InputError, loadModel } from "lorikeet";

const [name = "smollm2-135m", ...adapters] = process.argv.slice(2);
const model = await loadModel(name, { adapters });

const server = createServer(async (request, response) => {
  const gone = new AbortController();
  response.on("close", () => gone.abort()); // a caller that hangs up stops the writing
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  try {
    const prompt = await text(request); // a server in the open bounds its size here
    if (prompt === "") throw new InputError("Send the prompt as the body of a POST request.");
    for await (const piece of generate(model, { prompt, maxNewTokens: 64, signal: gone.signal })) response.write(piece);
    response.end("\n");
  } catch (error) {
    if (gone.signal.aborted) return;
    const isInput = error instanceof InputError;
    if (!isInput) console.error(error);
    if (!response.headersSent) response.statusCode = isInput ? 400 : 500;
    response.end(isInput ? `${error.message}\n` : "The model failed.\n");
  }
});

server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
