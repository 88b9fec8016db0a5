internal import CMicroHTTPD
import EventLoop
import Glibc
import Logging

/// A streamed body on its way through one connection.
///
/// Unchecked: everything here happens on the thread of its loop, as with `Exchange`.
final class StreamedBody: @unchecked Sendable {
  /// How the body ends.
  private enum Ending {
    case complete
    /// The connection is cut in the middle.
    case cut
  }

  private let daemon: Daemon
  private let handle: OpaquePointer
  private let requestID: RequestID
  /// Nil once the answer is over.
  private var stream: BodyStream?
  private(set) var state = StreamState.idle
  private var task: Task<Void, Never>?
  /// Tells the task that is waited for from one that was given up.
  private var turn = 0
  private var piece: [UInt8] = []
  private var sentOfPiece = 0
  private var ending: Ending?
  private(set) var bytesSent = 0

  init(_ stream: BodyStream, daemon: Daemon, handle: OpaquePointer, requestID: RequestID) {
    self.stream = stream
    self.daemon = daemon
    self.handle = handle
    self.requestID = requestID
  }

  /// libmicrohttpd asks for more.
  /// - Returns: how many bytes were written; 0 when the connection was suspended; what stands for an end otherwise.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    while true {
      if ending == .cut { return Int(MHD_BODY_CUT) }
      if sentOfPiece < piece.count {
        let count = min(buffer.count, piece.count - sentOfPiece)
        piece.withUnsafeBytes { bytes in
          buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[sentOfPiece..<sentOfPiece + count]))
        }
        sentOfPiece += count
        bytesSent += count
        return count
      }
      piece = []
      guard ending == nil, let stream, !(stream.isEndless && daemon.phase != .serving) else {
        return Int(MHD_BODY_COMPLETE)
      }
      makePiece(of: stream)
      if state.pause() {
        MHD_suspend_connection(handle)
        return 0
      }
    }
  }

  private func makePiece(of stream: BodyStream) {
    state.start()
    turn += 1
    let (loop, turn) = (daemon.loop, turn)
    let task = Task.immediate(executorPreference: loop) {
      let outcome: Result<[UInt8]?, any Error>
      do { outcome = .success(try await stream.next()) } catch { outcome = .failure(error) }
      // The preference brings it back to the loop; this only guards against a source that changed that.
      if loop.isCurrent { self.finish(turn, outcome) } else { loop.execute { self.finish(turn, outcome) } }
    }
    if state == .running { self.task = task }
  }

  private func finish(_ turn: Int, _ outcome: Result<[UInt8]?, any Error>) {
    guard turn == self.turn, state != .ended else { return }
    task = nil
    switch outcome {
    case .success(let piece?): (self.piece, sentOfPiece) = (piece, 0)
    case .success(nil): ending = .complete
    case .failure(let error):
      ending = .cut
      if !(error is CancellationError) {
        daemon.logger.error(
          "a streamed answer was cut",
          metadata: ["request_id": "\(requestID)", "error": "\(String(reflecting: error))"])
      }
    }
    if state.finish() == .resume { daemon.resume(handle) }
  }

  /// The server stops: what would never end does now.
  func endIfEndless() {
    if stream?.isEndless == true { interrupt(.complete) }
  }

  /// The client has left, or is not waited for any longer.
  func cut() { interrupt(.cut) }

  private func interrupt(_ ending: Ending) {
    if self.ending != .cut { self.ending = ending }
    turn += 1
    task?.cancel()
    task = nil
    if state.finish() == .resume { daemon.resume(handle) }
  }

  /// The answer is over.
  func end() {
    state.end()
    task?.cancel()
    task = nil
    stream = nil
    piece = []
  }
}
