import HTTPServer
import JSON

/// The answer to many results under construction: the counts, and an entry for each result or for those not accepted.
struct BatchReport {
  private(set) var (accepted, duplicates, rejected) = (0, 0, 0)
  private let requestID: String
  /// One after the other, with commas between them.
  private var entries: JSONWriter

  /// From so many bytes of entries on a problem is named and not described any more, so that a stream of wrong lines
  /// does not make an answer of hundreds of megabytes.
  static let describedBytesMax = 8 * 1024 * 1024

  init(requestID: String, reservingBytes: Int = 0) {
    self.requestID = requestID
    entries = JSONWriter(reservingBytes: reservingBytes)
  }

  mutating func add(
    _ entry: BatchOutcome.Entry, at index: Int, listingAccepted: Bool = true,
    members: (inout JSONWriter) -> Void = { _ in }
  ) {
    switch entry {
    case .accepted: accepted += 1
    case .duplicate: duplicates += 1
    case .rejected: rejected += 1
    }
    if case .accepted = entry, !listingAccepted { return }
    let isDescribed = entries.bytes.count < Self.describedBytesMax
    entries.object { json in
      json.member("index", index)
      members(&json)
      Self.write(entry, to: &json, requestID: requestID, isDescribed: isDescribed)
    }
  }

  private static func write(
    _ entry: BatchOutcome.Entry, to json: inout JSONWriter, requestID: String, isDescribed: Bool
  ) {
    switch entry {
    case .accepted(let id):
      json.member("status", "accepted")
      json.member("id", id.description)
      json.member("problem", nil as String?)
    case .duplicate(let id):
      json.member("status", "duplicate")
      json.member("id", id.description)
      json.member("problem", nil as String?)
    case .rejected(let problem):
      json.member("status", "rejected")
      json.member("id", nil as String?)
      json.name("problem")
      let said =
        isDescribed ? problem : Problem(problem.kind, "Too much is wrong to describe it all: see those before.")
      if case .bytes(let bytes) = said.response(instance: requestID).body { json.raw(bytes) }
    }
  }

  func encoded(trailer: (inout JSONWriter) -> Void = { _ in }) -> [UInt8] {
    var json = JSONWriter(reservingBytes: entries.bytes.count + 128)
    json.object { json in
      json.member("accepted", accepted)
      json.member("duplicates", duplicates)
      json.member("rejected", rejected)
      json.name("results")
      json.raw([UInt8(ascii: "[")] + entries.bytes + [UInt8(ascii: "]")])
      trailer(&json)
    }
    return json.bytes
  }
}
