import HTTPServer
import JSON

/// Results in NDJSON, read as they come: while some lines are being stored the next ones are read, and memory holds
/// these two and no more.
struct ResultStream {
  static let contentType = "application/x-ndjson"
  static let linesCountMax = 100_000
  static let bytesMax = 512 * 1024 * 1024
  /// At once: each holds up to two pieces.
  static let streamsCountMax = 64
  /// Lines that are stored at once, and about how many bytes of them.
  private static let storedAtOnceMax = 1_000
  private static let pieceBytesMax = 1024 * 1024

  private let call: Call
  private let posting: BatchPosting
  private let decoder: ProbeResultDecoder
  private let source: Identifier?
  /// No more than the key may ever send at once: a piece is counted whole.
  private let pieceLinesMax: Int

  private var splitter = LineSplitter(bytesMax: ProbeResultRoutes.oneBytesMax)
  private var read: [BatchLine] = []
  private var readBytes = 0
  private var linesCount = 0
  private var report: BatchReport
  /// What is being stored, and the index of its first line.
  private var storing: (first: Int, task: Task<BatchOutcome, any Error>)?
  private var storedCount = 0

  init(service: RiskService, decoder: ProbeResultDecoder, of call: Call) {
    self.call = call
    posting = BatchPosting(service: service)
    self.decoder = decoder
    source = decoder.principal.sourceID
    pieceLinesMax = min(Self.storedAtOnceMax, call.principal?.meter?.quota.resultsPerMinute ?? .max)
    report = BatchReport(requestID: call.request.id)
  }

  /// Reads and stores all there is.
  /// - Throws: a `Problem` that says how many lines were dealt with before; sending them again is safe.
  mutating func take(_ body: inout BodyReader) async throws -> BatchReport {
    do {
      let fault = try await read(&body)
      // What came before a fault is stored like the rest.
      try await finishStoring()
      try store()
      try await finishStoring()
      if let fault { throw fault }
      return report
    } catch {
      // Whatever became of it, nobody waits for it any longer.
      try? await finishStoring()
      throw described(error)
    }
  }

  /// - Returns: why the body was not read to its end; nil when it was.
  /// - Throws: when lines could not be stored.
  private mutating func read(_ body: inout BodyReader) async throws -> (any Error)? {
    while true {
      let piece: [UInt8]?
      do { piece = try await body.next() } catch { return error }
      var lines: [LineSplitter.Line] = []
      if let piece { splitter.add(piece) { lines.append($0) } } else { splitter.finish { lines.append($0) } }
      for line in lines {
        if linesCount == Self.linesCountMax { return Problem.tooManyLines }
        try await take(line)
      }
      if piece == nil { return nil }
      // Whoever sends slowly has what came stored at once; meanwhile the next piece arrives.
      try await finishStoring()
      try store()
    }
  }

  private mutating func take(_ line: LineSplitter.Line) async throws {
    linesCount += 1
    if case .bytes(let bytes) = line { readBytes += bytes.count }
    read.append(decoder.line(line))
    if read.count >= pieceLinesMax || readBytes >= Self.pieceBytesMax {
      try await finishStoring()
      try store()
    }
  }

  private mutating func store() throws(Problem) {
    if read.isEmpty { return }
    try call.countResults(read.count)
    let (lines, posting, source) = (read, posting, source)
    storing = (linesCount - read.count, Task { try await posting.post(lines, from: source, isStream: true) })
    read = []
    readBytes = 0
  }

  private mutating func finishStoring() async throws {
    guard let (first, task) = storing.take() else { return }
    let entries = try await task.value.entries
    for (offset, entry) in entries.enumerated() { report.add(entry, at: first + offset, listingAccepted: false) }
    storedCount = first + entries.count
  }

  private func described(_ error: any Error) -> any Error {
    guard let problem = error as? Problem ?? Problem.rendering(error), storedCount > 0 else { return error }
    return Problem(
      problem.kind,
      "\(problem.detail) The first \(storedCount) lines were dealt with before; to send them again does "
        + "no harm.", faults: problem.faults, headers: problem.headers)
  }
}

extension Problem {
  static let tooManyLines = Problem(.bodyTooLarge, "A stream has at most \(ResultStream.linesCountMax) lines.")
}

extension ProbeResultDecoder {
  /// One line of NDJSON.
  func line(_ line: LineSplitter.Line) -> BatchLine {
    guard case .bytes(let bytes) = line else {
      return BatchLine(
        wrong: Problem(.bodyTooLarge, "A line has at most \(ProbeResultRoutes.oneBytesMax) bytes."))
    }
    do throws(JSONSyntaxError) {
      let (value, faults) = try JSONReader.read(bytes)
      return BatchLine { () throws(JSONFaults) in try decode(value, readerFaults: faults) }
    } catch {
      return BatchLine(wrong: Problem(.malformedJSON, "The line is not readable: \(error)."))
    }
  }
}
