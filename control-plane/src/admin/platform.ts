/** The terminal of the person at the host, as a type and as the real one. */
import { stderr, stdin, stdout } from "node:process";

export interface Terminal {
  /** A result, to standard output. */
  say(line: string): void;
  /** Anything else, to standard error. */
  complain(line: string): void;
  /** False in a script: then nothing may be asked. */
  canAsk: boolean;
  /** What is typed is not shown. `undefined` when the person gave up. */
  askHidden(question: string): Promise<string | undefined>;
}

export function createTerminal(): Terminal {
  return {
    say: (line) => stdout.write(`${line}\n`),
    complain: (line) => stderr.write(`${line}\n`),
    canAsk: stdin.isTTY === true && stderr.isTTY === true,
    askHidden,
  };
}

const ENTER = ["\r", "\n"];
const BACKSPACE = ["\b", "\x7f"];
const GIVEN_UP = ["\x03", "\x04"];

function askHidden(question: string): Promise<string | undefined> {
  // Before the question, so that nothing that is typed in answer to it is shown.
  stdin.setRawMode(true);
  stderr.write(question);
  return new Promise((resolve) => {
    let typed: string[] = [];
    const end = (answer: string | undefined) => {
      stdin.off("data", read);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write("\n");
      resolve(answer);
    };
    const read = (bytes: Buffer) => {
      for (const [at, character] of [...bytes.toString("utf8")].entries()) {
        if (GIVEN_UP.includes(character)) return end(undefined);
        if (ENTER.includes(character)) {
          // A paste may hold the answer to the next question.
          stdin.unshift(Buffer.from([...bytes.toString("utf8")].slice(at + 1).join("")));
          return end(typed.join(""));
        }
        if (BACKSPACE.includes(character)) typed = typed.slice(0, -1);
        else typed.push(character);
      }
    };
    stdin.on("data", read);
    stdin.resume();
  });
}
