/** Takes Docker's multiplexed stream apart: `type u8 | 0 0 0 | length u32 | payload`, type 2 is stderr. */

export interface Piece {
  stderr: boolean;
  bytes: Buffer;
}

const HEADER_BYTES = 8;

/** Feed it chunks as they come, cut anywhere; each complete frame is handed on once. */
export function createDemultiplexer(onPiece: (piece: Piece) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const length = bytes.readUInt32BE(at + 4);
      const end = at + HEADER_BYTES + length;
      if (bytes.length < end) break;
      onPiece({ stderr: bytes[at] === 2, bytes: bytes.subarray(at + HEADER_BYTES, end) });
      at = end;
    }
    rest = bytes.subarray(at);
  };
}
