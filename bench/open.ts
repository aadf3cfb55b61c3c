// Opens a model in a precision, so that its weights are converted into the cache before anything is timed.
import { openModel } from "../src/workflows/node/open-model.js";
import { readPrecision } from "./sides.js";

const [name = "", precision] = process.argv.slice(2);
await openModel(name, { target: "cpu", precision: readPrecision(precision) });
console.log(JSON.stringify({ opened: name }));
