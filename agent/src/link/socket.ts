/** What the link needs of a websocket; web-socket.ts has the real one. */

export interface Socket {
  /** `onSent` is called when it has left for the kernel, or never. */
  sendText(text: string, onSent: () => void): void;
  sendBytes(bytes: Uint8Array, onSent: () => void): void;
  /** Bytes that were sent and have not left yet. */
  bufferedBytes(): number;
  close(code: number, reason: string): void;
  /** Ends it without another word, also when the other side is gone. */
  terminate(): void;
}

export interface SocketEvents {
  opened(): void;
  text(text: string): void;
  /** Anything arrived, pings included: the other side lives. */
  alive(): void;
  bytes(): void;
  /** Once, whatever the reason. `retryAfterMs`: what a refused upgrade asked for, ten minutes at most. */
  closed(code: number, reason: string, retryAfterMs?: number): void;
}

export type Dial = (url: string, subprotocol: string, events: SocketEvents) => Socket;
