import * as runtime from "onnxruntime-web/webgpu";
import { stepInPage } from "./step.js";

Object.assign(globalThis, { step: () => stepInPage(runtime, "webgpu") });
