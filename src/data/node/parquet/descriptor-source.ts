import { fstatSync, read as readCallback } from "node:fs";
import { promisify } from "node:util";
import { InputError } from "../../../errors.js";
import { type ByteSource, checkRange } from "../../../weights/byte-source.js";

const read = promisify(readCallback);

/** Node refuses to read more than 2 GiB at once. */
const MAX_READ_BYTES = 2 ** 30;

/** The file of an open descriptor. */
export function descriptorSource(name: string, descriptor: number): ByteSource {
  const { size } = fstatSync(descriptor);
  return {
    name,
    size,
    async read(offset, length) {
      checkRange({ name, size }, offset, length);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await read(descriptor, bytes, done, Math.min(length - done, MAX_READ_BYTES), offset + done);
        if (bytesRead === 0) throw new InputError(`${name}: ended at byte ${offset + done} of ${size}.`);
        done += bytesRead;
      }
      return bytes;
    },
  };
}
