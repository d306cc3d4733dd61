// Protocol buffers as gRPC takes them: what does not decode ends the call with INTERNAL before any code of ours hears of it.

export class WireError extends Error {
  override name = 'WireError';
}

/** @throws WireError for what the generated decoder throws */
export function decoded<T>(type: { decode(bytes: Uint8Array): T }, bytes: Uint8Array): T {
  try {
    return type.decode(bytes);
  } catch (error) {
    // Its own errors: a number or a length that runs past the end, a wire type that is none.
    if (error instanceof RangeError || (error as Error).constructor === Error)
      throw new WireError((error as Error).message);
    throw error;
  }
}
