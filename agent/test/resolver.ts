/** A process of tests: a resolver on loopback that knows no name and writes down each one it is asked for. */
import { createSocket } from "node:dgram";
import { appendFileSync } from "node:fs";

const HEADER_BYTES = 12;
/** An answer to the question as it came: no such name. */
const NO_SUCH_NAME = [0x81, 0x83];

const [, , notes = ""] = process.argv;
const socket = createSocket("udp4");

function nameIn(question: Buffer): string {
  const parts: string[] = [];
  for (let at = HEADER_BYTES; (question[at] ?? 0) > 0; at += 1 + (question[at] ?? 0)) {
    parts.push(question.toString("latin1", at + 1, at + 1 + (question[at] ?? 0)));
  }
  return parts.join(".");
}

socket.on("message", (question, { port, address }) => {
  appendFileSync(notes, `${nameIn(question)}\n`);
  const answer = Buffer.from(question);
  answer.set(NO_SUCH_NAME, 2);
  socket.send(answer, port, address);
});
socket.bind(53, "127.0.0.1");
