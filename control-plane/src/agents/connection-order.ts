/**
 * Which of an agent's connections is the later one. An `auth` that a slow network held back says what was true before
 * the agent's next connection: it must be told from the `auth` of another machine.
 */
export interface ConnectionOrder {
  /** The place of a connection whose challenge goes out now. */
  challenged(): number;
  welcomed(serverId: string): void;
  /** True when this server was welcomed on another connection since that place. */
  isOvertaken(serverId: string, place: number): boolean;
}

export function createConnectionOrder(): ConnectionOrder {
  const welcomes = new Map<string, number>();
  let last = 0;
  return {
    challenged: () => ++last,
    welcomed: (serverId) => void welcomes.set(serverId, ++last),
    isOvertaken: (serverId, place) => (welcomes.get(serverId) ?? 0) > place,
  };
}
