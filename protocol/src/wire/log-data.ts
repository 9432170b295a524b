/**
 * Binary frame of a container's log: `type u8 | flags u8 | streamId u32 | offset u64 | payload`, big endian.
 * The payload is UTF-8 of whole lines, each `<RFC 3339 nanoseconds> <text>\n`; `offset` counts payload bytes of the stream.
 */

const TYPE_LOG = 1;
const HEADER_BYTES = 14;
const FLAG_STDERR = 1;
const FLAG_GAP = 2;

export interface LogData {
  streamId: number;
  offset: number;
  stderr: boolean;
  /** Lines were lost before this payload. */
  gap: boolean;
  payload: Uint8Array;
}

export function encodeLogData(data: LogData): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + data.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, TYPE_LOG);
  view.setUint8(1, (data.stderr ? FLAG_STDERR : 0) | (data.gap ? FLAG_GAP : 0));
  view.setUint32(2, data.streamId);
  view.setBigUint64(6, BigInt(data.offset));
  bytes.set(data.payload, HEADER_BYTES);
  return bytes;
}

/** The frame's parts, or `undefined` when the bytes are not one. */
export function decodeLogData(bytes: Uint8Array): LogData | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== TYPE_LOG) return undefined;
  const flags = view.getUint8(1);
  if ((flags & ~(FLAG_STDERR | FLAG_GAP)) !== 0) return undefined;
  const offset = view.getBigUint64(6);
  if (offset > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  return {
    streamId: view.getUint32(2),
    offset: Number(offset),
    stderr: (flags & FLAG_STDERR) !== 0,
    gap: (flags & FLAG_GAP) !== 0,
    payload: bytes.subarray(HEADER_BYTES),
  };
}
