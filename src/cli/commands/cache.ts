import type { CommandBody } from "../context.js";
import { exitCodes } from "../failure.js";
import { bytesText } from "../render/numbers.js";

/** `lorikeet cache [show|clear]`. */
export const body: CommandBody<{ action?: "show" | "clear" | undefined }> = async ({ action = "show" }, { screen, workflows }) => {
  const { folder, bytes } = await workflows.cache(action);
  screen.json({ folder, bytes });
  screen.say(action === "clear" ? `${bytesText(bytes)} freed in ${folder}` : `${folder}, ${bytesText(bytes)}`);
  return exitCodes.done;
};
