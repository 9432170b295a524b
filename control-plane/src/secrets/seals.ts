/** Sealed values: JWE (`dir`, A256GCM) whose protected header names the table, row and column that it belongs to. */
import { CompactEncrypt, compactDecrypt } from "jose";

/** Where a sealed value stands. One that was moved to another place does not open. */
export interface SealPlace {
  table: string;
  row: string;
  column: string;
}

export interface Seals {
  seal(place: SealPlace, plain: string): Promise<string>;
  /** Throws when the value was changed, moved or sealed with another key. */
  open(place: SealPlace, sealed: string): Promise<string>;
}

/** The place of a service's secret. */
export function serviceSecretPlace(serviceId: string, name: string): SealPlace {
  return { table: "secret", row: serviceId, column: name };
}

const PLACE = "dflow-place";

export function createSeals(sealing: { kid: string; key: Uint8Array }): Seals {
  return {
    seal(place, plain) {
      return new CompactEncrypt(new TextEncoder().encode(plain))
        .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: sealing.kid, [PLACE]: placeText(place) })
        .encrypt(sealing.key);
    },
    async open(place, sealed) {
      const where = placeText(place);
      const { plaintext, protectedHeader } = await compactDecrypt(sealed, sealing.key, {
        keyManagementAlgorithms: ["dir"],
        contentEncryptionAlgorithms: ["A256GCM"],
      }).catch((cause: unknown) => {
        throw new Error(`open the sealed value of ${where}: it was changed or sealed with another key`, { cause });
      });
      if (protectedHeader[PLACE] !== where) throw new Error(`open the sealed value of ${where}: it belongs elsewhere`);
      return new TextDecoder().decode(plaintext);
    },
  };
}

function placeText({ table, row, column }: SealPlace): string {
  return `${table}/${row}/${column}`;
}
