/// Reads the body of a request as it comes, unpacked.
public struct BodyReader {
  private let incoming: IncomingBody
  private let inflater: Inflater?
  private let bytesMax: Int
  private var bytesRead = 0

  /// - Parameter bytesMax: of what comes out; more is a `Problem`.
  init(_ incoming: IncomingBody, isPacked: Bool, bytesMax: Int) {
    self.incoming = incoming
    inflater = isPacked ? Inflater() : nil
    self.bytesMax = bytesMax
  }

  /// The next piece, of 1 byte to some hundred thousand; nil at the end.
  /// - Throws: `Problem` when the body is too long or not what it says it is; `CancellationError` when the client left
  ///   in the middle of it.
  public mutating func next() async throws -> [UInt8]? {
    guard let piece = try await nextUnpacked() else { return nil }
    bytesRead += piece.count
    guard bytesRead <= bytesMax else { throw Problem.bodyTooLarge(bytesMax, unpacked: inflater != nil) }
    return piece
  }

  private func nextUnpacked() async throws -> [UInt8]? {
    guard let inflater else { return try await incoming.next() }
    while true {
      if let piece = try inflater.next() { return piece }
      guard let packed = try await incoming.next() else {
        try inflater.finish()
        return nil
      }
      inflater.add(packed)
    }
  }
}

extension Problem {
  static func bodyTooLarge(_ bytesMax: Int, unpacked: Bool) -> Problem {
    Problem(
      .bodyTooLarge,
      unpacked
        ? "the body unpacks to more than the \(bytesMax) bytes that are taken"
        : "the body is longer than the \(bytesMax) bytes that are taken")
  }

  static let malformedGzip = Problem(.malformedRequest, "the body is not whole gzip members and nothing else")
}
