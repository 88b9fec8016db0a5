import Crypto
import JSON

/// What makes two posts the same result, and what tells whether they say the same.
///
/// Both are taken over resolved values, so that naming a provider by slug or by host is the same, and before anything
/// is redacted.
struct ResultIdentity: Sendable, Hashable {
  /// SHA-256 over the source and its own id for the result or, without one, over what was observed and when.
  let identity: Hash256
  /// HMAC-SHA-256 of the content. Keyed, so that a short or guessable content cannot be recovered from it.
  let digest: Hash256

  /// The key in the form that hashing begins with: made once, as that costs as much as the hash of a short content.
  struct DigestKey: Sendable {
    fileprivate let begun: HMAC<SHA256>

    init(_ bytes: [UInt8]) { begun = HMAC<SHA256>(key: SymmetricKey(data: bytes)) }
  }

  init(of result: ProbeResult, digestKey: DigestKey) {
    var identity = FieldHasher(reservingBytes: 256)
    identity.add(result.source)
    if let externalID = result.externalID {
      identity.add("external")
      identity.add(externalID)
    } else {
      identity.add("natural")
      identity.add(result.checkID)
      identity.add(result.target.address)
      identity.add(result.target.model)
      identity.add(result.runID)
      identity.add(String(result.observedAt.milliseconds))
    }
    self.identity = identity.hash()

    var content = FieldHasher(reservingBytes: 512)
    content.add(result.source)
    content.add(result.checkID)
    content.add(result.outcome.rawValue)
    content.add(result.isObservedAtAssumed ? nil : String(result.observedAt.milliseconds))
    content.add(result.target.address)
    content.add(result.target.model)
    // Mostly 1, and to write a double takes long.
    content.add(result.confidence == 1 ? "1.0" : result.confidence.description)
    content.add(result.externalID)
    content.add(result.runID)
    content.add(result.vantage?.country)
    content.add(result.vantage?.asn.map(String.init))
    content.add(result.scanner?.name)
    content.add(result.scanner?.version)
    content.add(result.note)
    content.add(result.evidence.map(canonicalJSON))
    var code = digestKey.begun
    code.update(data: content.bytes)
    digest = Hash256(code.finalize())
  }
}

/// Joins fields so that no two different lists of fields give the same bytes: each with its length before it.
struct FieldHasher {
  private(set) var bytes: [UInt8] = []

  /// - Parameter reservingBytes: for what is going to be added, about.
  init(reservingBytes: Int = 0) { bytes.reserveCapacity(reservingBytes) }

  mutating func add(_ field: [UInt8]?) {
    guard let field else { return bytes.append(0) }
    begin(count: field.count)
    bytes.append(contentsOf: field)
  }

  mutating func add(_ text: String?) {
    guard let text else { return bytes.append(0) }
    begin(count: text.utf8.count)
    bytes.append(contentsOf: text.utf8)
  }

  mutating func add(_ id: Identifier) {
    begin(count: 16)
    withUnsafeBytes(of: id.high.bigEndian) { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: id.low.bigEndian) { bytes.append(contentsOf: $0) }
  }

  private mutating func begin(count: Int) {
    let count = UInt32(count)
    bytes.append(1)
    for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: count >> shift)) }
  }

  /// SHA-256 of the fields so far.
  func hash() -> Hash256 {
    var hash = SHA256()
    bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
    return Hash256(hash.finalize())
  }
}

/// The same bytes for documents that say the same: members sorted by UTF-8, numbers that a double holds exactly in one
/// form. A number of more digits keeps them: two large ids that differ in the last digit are not the same.
private func canonicalJSON(_ value: JSONValue) -> [UInt8] {
  var json = JSONWriter()
  func write(_ value: JSONValue) {
    switch value {
    case .number(let number) where number.lexeme.utf8.count <= 15: json.value(number.double)
    case .array(let values):
      // Containers are written as raw pieces: the closures of the writer cannot recurse into a captured writer.
      json.raw(
        [UInt8(ascii: "[")] + values.map(canonicalJSON).joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "]")])
    case .object(let object):
      let members = object.members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
      let pieces = members.map { member in
        canonicalJSON(.string(member.name)) + [UInt8(ascii: ":")] + canonicalJSON(member.value)
      }
      json.raw([UInt8(ascii: "{")] + pieces.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "}")])
    default: json.value(value)
    }
  }
  write(value)
  return json.bytes
}
