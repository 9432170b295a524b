/** `npm run transcripts`: records the current version's transcripts anew and says which files have changed. */
import { createTemplate } from "../simulate/template.ts";
import { TRANSCRIPT_KEYS } from "./keys.ts";
import { asText, CURRENT, filesOf, textOf, writeCurrent } from "./lines.ts";
import { record } from "./record.ts";
import { SCENES } from "./scenes.ts";

const template = await createTemplate(TRANSCRIPT_KEYS);
try {
  const before = new Map(filesOf(CURRENT).map((file) => [file, textOf(CURRENT, file)]));
  const recorded = [];
  for (const scene of SCENES) recorded.push(await record(template, scene));
  writeCurrent(recorded);
  for (const { name, lines } of recorded) {
    const isSame = before.get(`${name}.jsonl`) === asText(lines);
    console.log(`${isSame ? "same   " : "changed"} ${name}: ${lines.length} lines`);
  }
} finally {
  template.remove();
}
