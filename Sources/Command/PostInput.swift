import Glibc
import JSON

/// Reads the results of a file, or of standard input, piece by piece, however long it is.
struct PostInput {
  enum Item {
    case result([UInt8], origin: String)
    case rejected(PostReport.Rejection)
    /// Nothing more has come for a while.
    case pause
  }

  struct Unreadable: Error, CustomStringConvertible { let description: String }

  private static let chunkBytes = 64 * 1024
  /// A scanner that writes a result now and then should not wait for its batch to be full.
  private static let pauseMilliseconds: Int32 = 1_000

  /// `-` is standard input.
  let path: String

  /// The name that stands before line numbers.
  private var name: String { path == "-" ? "stdin" : path }

  /// - Throws: `Unreadable` when it cannot be read to its end, and what `body` throws.
  func forEach(_ body: (Item) throws -> Void) throws {
    let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable("open") }
    defer { if descriptor != STDIN_FILENO { close(descriptor) } }
    var splitter = ResultSplitter()
    func take(_ event: ResultSplitter.Event, _ line: Int) throws {
      try body(item(event, origin: "\(name):\(line)"))
    }
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunkBytes, alignment: 1)
    defer { chunk.deallocate() }
    while !Interruption.isAsked {
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      if poll(&waiting, 1, Self.pauseMilliseconds) == 0 {
        try body(.pause)
        continue
      }
      let count = read(descriptor, chunk.baseAddress, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw unreadable("read") }
      if count == 0 { break }
      try splitter.feed(UnsafeRawBufferPointer(rebasing: chunk[..<count]), take)
    }
    if !Interruption.isAsked { try splitter.finish(take) }
  }

  private func unreadable(_ action: String) -> Unreadable {
    Unreadable(description: "cannot \(action) \(path): \(String(cString: strerror(errno)))")
  }

  private func item(_ event: ResultSplitter.Event, origin: String) -> Item {
    switch event {
    case .fault(let detail): return .rejected(.init(origin: origin, reason: detail, faults: []))
    case .result(let bytes):
      do {
        let faults = try JSONReader.read(bytes).faults
        if faults.isEmpty { return .result(bytes, origin: origin) }
        // In a batch they would spoil the whole body.
        return .rejected(.init(origin: origin, reason: "the JSON is faulty", faults: faults))
      } catch {
        return .rejected(.init(origin: origin, reason: "not JSON: \(error)", faults: []))
      }
    }
  }
}
