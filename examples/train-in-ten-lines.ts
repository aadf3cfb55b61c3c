// node examples/run.mjs train-in-ten-lines [MODEL [DATA [OUT]]]
import { train } from "lorikeet";

const [model = "smollm2-135m", data = "assets/demo/cron-valid.jsonl", out = "cron-adapter"] = process.argv.slice(2);

for await (const event of train({ model, data, out, epochs: 2, lr: 1e-3, report: false })) {
  if (event.type === "step") console.log(`${event.step}/${event.steps}  loss ${event.loss.toFixed(3)}`);
  if (event.type === "evaluation") console.log(`held-out loss ${event.loss.toFixed(3)}`);
  if (event.type === "done") console.log(`adapter: ${event.adapter}`);
}
