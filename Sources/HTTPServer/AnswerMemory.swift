import Glibc

/// How far an answer may be given again.
public struct Reuse: Sendable {
  /// Checked each time; it has to be quick and may be called on any thread.
  let isCurrent: @Sendable () -> Bool
  /// Whether it is an answer to where the request comes from, too.
  let isForOnePeer: Bool

  public init(forOnePeer isForOnePeer: Bool = false, while isCurrent: @escaping @Sendable () -> Bool) {
    self.isCurrent = isCurrent
    self.isForOnePeer = isForOnePeer
  }

  /// As far as both go.
  public func and(_ other: Reuse) -> Reuse {
    Reuse(forOnePeer: isForOnePeer || other.isForOnePeer) { [isCurrent] in isCurrent() && other.isCurrent() }
  }
}

/// Answers of one loop that are given again to requests that are the same to the byte: target, version and header
/// section. Who asks for the same thing over and over, with the same key, costs neither routing nor reading of headers
/// nor a check of the key anew: that nothing of it has changed is what `Reuse` says.
///
/// Confined to its loop.
struct AnswerMemory {
  /// An answer that was sent, and to what.
  final class Answer {
    fileprivate let target: String
    fileprivate let section: [UInt8]
    /// The other end of the connection on which it was asked for, and who asked.
    fileprivate let peer, client: Peer
    fileprivate let reuse: Reuse
    fileprivate let until: ContinuousClock.Instant
    let route: Route
    let prepared: PreparedResponse
    let isNotModified: Bool

    fileprivate init(
      target: String, section: [UInt8], peer: Peer, client: Peer, reuse: Reuse, until: ContinuousClock.Instant,
      route: Route,
      prepared: PreparedResponse, isNotModified: Bool
    ) {
      self.target = target
      self.section = section
      self.peer = peer
      self.client = client
      self.reuse = reuse
      self.until = until
      self.route = route
      self.prepared = prepared
      self.isNotModified = isNotModified
    }

    /// Who asks for it again.
    func client(on connection: Connection) -> Peer { connection.peer == peer ? client : connection.peer }

    fileprivate func asked(_ other: UnsafeRawBufferPointer) -> Bool {
      section.withUnsafeBytes { section in
        section.count == other.count
          && (section.isEmpty || memcmp(section.baseAddress!, other.baseAddress!, section.count) == 0)
      }
    }
  }

  /// What changes with time alone, such as the header that says how old an answer is, may be this old.
  private static let lifetime = Duration.seconds(1)
  /// More distinct requests within a second than one loop has callers that repeat themselves.
  private static let answersCountMax = 2_048
  private static let sectionBytesMax = 4_096

  /// By the hash of the request, which the process salts: nobody can aim at collisions, and one replaces the other.
  private var answers: [Int: Answer] = [:]

  /// Whether an answer to a request with such a section is kept at all.
  func takes(_ section: UnsafeRawBufferPointer) -> Bool { section.count <= Self.sectionBytesMax }

  /// The answer that the same request got, if it still holds.
  mutating func answer(
    to target: String, _ section: UnsafeRawBufferPointer, from peer: Peer, at now: ContinuousClock.Instant
  ) -> Answer? {
    if answers.isEmpty { return nil }
    let hash = Self.hash(target, section)
    guard let answer = answers[hash], answer.target == target, answer.asked(section) else { return nil }
    if answer.reuse.isForOnePeer, answer.peer != peer { return nil }
    guard now < answer.until, answer.reuse.isCurrent() else {
      answers[hash] = nil
      return nil
    }
    return answer
  }

  mutating func keep(
    _ prepared: PreparedResponse, isNotModified: Bool, of route: Route, for target: String,
    _ section: [UInt8], from peer: Peer, _ client: Peer, at now: ContinuousClock.Instant, _ reuse: Reuse
  ) {
    if answers.count >= Self.answersCountMax { answers.removeAll(keepingCapacity: true) }
    let hash = section.withUnsafeBytes { Self.hash(target, $0) }
    answers[hash] = Answer(
      target: target, section: section, peer: peer, client: client, reuse: reuse, until: now + Self.lifetime,
      route: route,
      prepared: prepared,
      isNotModified: isNotModified)
  }

  private static func hash(_ target: String, _ section: UnsafeRawBufferPointer) -> Int {
    var hasher = Hasher()
    hasher.combine(target)
    hasher.combine(bytes: section)
    return hasher.finalize()
  }
}
