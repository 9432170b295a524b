/** A token bucket: so much at once, so much a second after that. Pure: state and time come in, a new state comes out. */

export interface BucketLimits {
  perSecond: number;
  /** What a bucket holds that has been left alone. */
  burst: number;
  /** What it may hold when more was given than was taken; not more than `burst` unless it is said here. */
  most?: number;
}

export interface Bucket {
  readonly tokens: number;
  /** Monotonic milliseconds. */
  readonly atMs: number;
}

export function fullBucket({ burst }: BucketLimits, nowMs: number): Bucket {
  return { tokens: burst, atMs: nowMs };
}

/** Undefined when there is not enough in it; then nothing is taken. */
export function take(bucket: Bucket, limits: BucketLimits, nowMs: number, amount: number): Bucket | undefined {
  const { tokens } = refilled(bucket, limits, nowMs);
  return tokens < amount ? undefined : { tokens: tokens - amount, atMs: nowMs };
}

export function give(bucket: Bucket, limits: BucketLimits, nowMs: number, amount: number): Bucket {
  const { tokens } = refilled(bucket, limits, nowMs);
  return { tokens: Math.min(tokens + amount, limits.most ?? limits.burst), atMs: nowMs };
}

/** Time alone fills it up to its burst; what it was given beyond that stays. */
function refilled({ tokens, atMs }: Bucket, { perSecond, burst }: BucketLimits, nowMs: number): Bucket {
  const grown = tokens + (Math.max(0, nowMs - atMs) / 1000) * perSecond;
  return { tokens: Math.max(tokens, Math.min(burst, grown)), atMs: nowMs };
}
