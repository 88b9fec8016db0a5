import JSON

/// Results that are sent in one request.
struct PostBatch {
  /// The contract's limit.
  private static let countMax = 1_000
  /// Far below the service's 16 MiB, so that a batch stays small in memory and in time.
  private static let bytesMax = 4 * 1024 * 1024

  private(set) var results: [[UInt8]] = []
  /// Where each comes from: `results.ndjson:17`.
  private(set) var origins: [String] = []
  private var bytesCount = 0

  var count: Int { results.count }

  func hasRoom(for result: [UInt8]) -> Bool {
    count == 0 || (count < Self.countMax && bytesCount + result.count < Self.bytesMax)
  }

  mutating func append(_ result: [UInt8], origin: String) {
    results.append(result)
    origins.append(origin)
    bytesCount += result.count + 1
  }

  /// Nil of a single result.
  var halves: (PostBatch, PostBatch)? {
    if count < 2 { return nil }
    var halves = (PostBatch(), PostBatch())
    for index in results.indices {
      if index < count / 2 {
        halves.0.append(results[index], origin: origins[index])
      } else {
        halves.1.append(results[index], origin: origins[index])
      }
    }
    return halves
  }

  /// The body of the request.
  var body: [UInt8] {
    var json = JSONWriter(reservingBytes: bytesCount + 16)
    json.object { json in json.array("results", results) { $0.raw($1) } }
    return json.bytes
  }

  // MARK: - On disk

  /// A line for each: `{"from":"results.ndjson:17","result":{...}}`.
  var lines: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(bytesCount + count * 64)
    for (result, origin) in zip(results, origins) {
      var json = JSONWriter()
      json.object { json in
        json.member("from", origin)
        // A line end in JSON stands between its parts, where a space does as well.
        json.member("result", json: result.lazy.map { $0 == UInt8(ascii: "\n") ? UInt8(ascii: " ") : $0 })
      }
      bytes += json.bytes
      bytes.append(UInt8(ascii: "\n"))
    }
    return bytes
  }

  init() {}

  /// - Returns: nil unless all of it is what `lines` makes.
  init?(lines: [UInt8]) {
    guard lines.last == UInt8(ascii: "\n") else { return nil }
    for line in lines.dropLast().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      guard let (value, faults) = try? JSONReader.read(Array(line)), faults.isEmpty,
        case .object(let object) = value, object.members.count == 2, case .string(let origin)? = object["from"],
        let result = object["result"], case .object = result
      else { return nil }
      var json = JSONWriter()
      json.value(result)
      append(json.bytes, origin: origin)
    }
    if count > Self.countMax { return nil }
  }
}
