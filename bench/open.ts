// Opens a model in a precision, so that its weights are converted into the cache before anything is timed.
import { openModel } from "../src/workflows/node/open-model.js";

const [name = "", precision] = process.argv.slice(2);
await openModel(name, { target: "cpu", precision: precision === "int8" ? "int8" : "fp32" });
console.log(JSON.stringify({ opened: name }));
