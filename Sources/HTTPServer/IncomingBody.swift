internal import CMicroHTTPD
import EventLoop

/// A request's body between libmicrohttpd, which brings it piece by piece, and the handler that reads it meanwhile.
/// What is not read yet is bounded: a connection that brings more is suspended until the handler takes it.
///
/// Unchecked: everything here happens on the thread of its loop, as with `Exchange`; `next` goes there first.
final class IncomingBody: @unchecked Sendable {
  private let daemon: Daemon
  private let handle: OpaquePointer
  /// Not taken yet.
  private var buffered: [UInt8] = []
  private var ending: Result<Void, any Error>?
  private var reader: CheckedContinuation<[UInt8]?, any Error>?
  /// Since when the connection is suspended because enough is buffered; nil while it is not.
  private(set) var heldSince: ContinuousClock.Instant?
  /// Told how long the connection was held.
  var onRelease: ((Duration) -> Void)?

  /// From so many bytes on no more is read from the connection.
  private static let bufferedBytesMax = 256 * 1024

  init(daemon: Daemon, handle: OpaquePointer) {
    self.daemon = daemon
    self.handle = handle
  }

  // MARK: - From libmicrohttpd

  /// Inside the callback that brings the piece.
  func append(_ bytes: UnsafeRawBufferPointer) {
    guard ending == nil else { return }
    buffered.append(contentsOf: bytes)
    if let reader = reader.take() { return give(to: reader) }
    guard buffered.count >= Self.bufferedBytesMax, heldSince == nil else { return }
    heldSince = .now
    MHD_suspend_connection(handle)
  }

  /// The whole body is here.
  func end() { end(with: .success(())) }

  /// What was not taken will never be, nor anything that comes.
  func fail(_ error: any Error) {
    buffered = []
    end(with: .failure(error))
  }

  private func end(with ending: Result<Void, any Error>) {
    if self.ending == nil { self.ending = ending }
    if let reader = reader.take() { give(to: reader) }
    release()
  }

  // MARK: - To the handler

  /// The next piece, of any size above 0; nil at the end. One reader at a time.
  /// - Throws: why the rest will not come.
  func next() async throws -> [UInt8]? {
    try await withCheckedThrowingContinuation { continuation in
      let loop = daemon.loop
      if loop.isCurrent { take(continuation) } else { loop.execute { self.take(continuation) } }
    }
  }

  private func take(_ reader: CheckedContinuation<[UInt8]?, any Error>) {
    precondition(self.reader == nil, "a body has one reader at a time")
    if buffered.isEmpty, ending == nil {
      self.reader = reader
    } else {
      give(to: reader)
      release()
    }
  }

  private func give(to reader: CheckedContinuation<[UInt8]?, any Error>) {
    if !buffered.isEmpty {
      let piece = buffered
      buffered = []
      return reader.resume(returning: piece)
    }
    // Without a piece there is an ending, or nobody would be served.
    reader.resume(with: ending!.map { nil })
  }

  private func release() {
    guard let since = heldSince.take() else { return }
    onRelease?(.now - since)
    daemon.resume(handle)
  }
}
