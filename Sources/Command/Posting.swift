import JSON

/// One run of `relayrisk post`: what was spooled, then every input, batch by batch.
final class Posting {
  private let sender: PostSender
  private let spool: PostSpool?
  private let report: PostReport
  /// The service did not answer for as long as a batch is tried, or answers that nothing will help: the rest of this
  /// run goes to the spool untried.
  private var isGivenUp = false
  /// Something went wrong beside rejected results.
  private(set) var isFailed = false

  init(sender: PostSender, spool: PostSpool?, report: PostReport) {
    self.sender = sender
    self.spool = spool
    self.report = report
  }

  func sendSpooled() throws {
    guard let spool else { return }
    let sending = try spool.sendAll { path in
      report.say("a spooled file is damaged and was set aside: \(path)")
      isFailed = true
    } _: { batch in
      deliver(batch)
    }
    if sending == .busy { report.say("another process is sending what was spooled") }
  }

  /// An input that cannot be read is said, and the next one goes on.
  func post(_ input: PostInput) throws {
    var batch = PostBatch()
    func flush() throws {
      let full = batch
      batch = PostBatch()
      if full.count > 0 { try deliverOrKeep(full) }
    }
    do {
      try input.forEach { item in
        switch item {
        case .result(let bytes, let origin):
          if !batch.hasRoom(for: bytes) { try flush() }
          batch.append(bytes, origin: origin)
        case .rejected(let rejection): report.reject(rejection)
        case .pause: try flush()
        }
      }
    } catch let failure as PostInput.Unreadable {
      report.say("\(failure)")
      isFailed = true
    }
    try flush()
  }

  private func deliverOrKeep(_ batch: PostBatch) throws {
    if !isGivenUp && deliver(batch) { return }
    guard let spool else { return report.countUnsent(batch.count) }
    do {
      try spool.store(batch)
    } catch {
      report.countUnsent(batch.count)
      report.finish()
      throw error
    }
    report.countSpooled(batch.count)
  }

  /// - Returns: false when the service did not take it, so that it has to be kept.
  private func deliver(_ batch: PostBatch) -> Bool {
    switch sender.send(batch) {
    case .answered(let accepted, let duplicates, let rejections):
      for rejection in rejections { if let rejection { report.reject(rejection) } }
      report.countStored(accepted: accepted, duplicates: duplicates)
      return true
    case .tooLarge(let reason):
      if let (first, second) = batch.halves { return deliver(first) && deliver(second) }
      reject(batch, reason, [])
      return true
    case .refused(let reason, let faults):
      reject(batch, reason, faults)
      return true
    case .hopeless(let reason):
      report.say(reason)
      isFailed = true
    case .undelivered(let reason):
      report.say("giving up for now, and what is left is \(spool == nil ? "not sent" : "spooled"): \(reason)")
    }
    isGivenUp = true
    return false
  }

  private func reject(_ batch: PostBatch, _ reason: String, _ faults: [JSONFault]) {
    for origin in batch.origins { report.reject(.init(origin: origin, reason: reason, faults: faults)) }
  }
}
