/** Recognises the database's own refusal of a second row with the same name. */

/** True when `error` says that a unique index over these columns was hit: "service.environment_id, service.name". */
export function isUniqueConflict(error: unknown, columns: string): boolean {
  return error instanceof Error && error.message === `UNIQUE constraint failed: ${columns}`;
}
