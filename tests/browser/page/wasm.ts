import * as runtime from "onnxruntime-web/wasm";
import { stepInPage } from "./step.js";

Object.assign(globalThis, { step: () => stepInPage(runtime, "cpu") });
