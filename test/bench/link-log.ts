/** The log that is measured: lines of one length, so that bytes of a stream and bytes of a log are in one proportion. */

/** Of a line as Docker has it: time, text, newline. A log line of a database has about as many. */
export const LOG_LINE_BYTES = 160;
const LINES = 400;

/** Almost as much as a frame may carry. Each line's time is its own, as in a real log. */
export const LOG_PAYLOAD: Buffer = Buffer.from(
  Array.from({ length: LINES }, (_, n) => {
    const line = `2026-01-01T00:00:00.${String(n).padStart(9, "0")}Z `;
    return `${line.padEnd(LOG_LINE_BYTES - 1, "duration: 0.042 ms  statement: select 1; ")}\n`;
  }).join(""),
);
