/** Deeper than any configuration, and than any row of data that means something; JavaScript's own functions end their stack at some thousands. */
const MAX_DEPTH = 500;

/**
 * `JSON.parse` of a text that is nested at most so deep.
 *
 * @throws SyntaxError as `JSON.parse` does, and for one that is nested deeper
 */
export function parseJsonText(text: string): unknown {
  if (text.length > 2 * MAX_DEPTH) checkDepth(text);
  return JSON.parse(text);
}

function checkDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x5c: // backslash: what follows it closes no string
        if (inString) at++;
        break;
      case 0x22: // quotation mark
        inString = !inString;
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (!inString && ++depth > MAX_DEPTH) throw new SyntaxError(`it is nested more than ${MAX_DEPTH} deep`);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        if (!inString) depth--;
    }
  }
}
