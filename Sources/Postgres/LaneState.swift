/// What a prepared statement is found by: the same SQL with other parameter types is another statement.
struct StatementKey: Hashable, Sendable {
  let sql: String
  let parameterTypes: [UInt32]
}

/// The order of one connection in pipeline mode: which statement the next result belongs to, and which statements the
/// server has prepared. Pure: event in, action out.
///
/// What is submitted at once, mostly one statement, is a group of commands with a Sync of its own, so that a failing
/// one harms no neighbour. libpq gives for each command its result and then NULL, perhaps the same for an error of the
/// commit that the Sync brings about, and for the Sync one result with no NULL after it.
struct LaneState<Payload> {
  /// The commands before one Sync: perhaps DEALLOCATE, then for each statement perhaps Parse, and Bind with Execute.
  struct Group: Equatable {
    struct Statement: Equatable {
      var prepares: Bool
      /// Empty for the unnamed statement.
      var name: String
    }

    var deallocates: String?
    var statements: [Statement] = []

    enum Command: Equatable { case deallocate, prepare(Int), execute(Int) }

    /// What the command at this place does, for which of the statements; nil behind the last one.
    func command(at index: Int) -> Command? {
      var rest = index
      if deallocates != nil {
        if rest == 0 { return .deallocate }
        rest -= 1
      }
      for (place, statement) in statements.enumerated() {
        if statement.prepares {
          if rest == 0 { return .prepare(place) }
          rest -= 1
        }
        if rest == 0 { return .execute(place) }
        rest -= 1
      }
      return nil
    }
  }

  enum Reply: Equatable {
    case success
    case failure(sqlState: String)
    /// Skipped by the server because an earlier command of the group failed.
    case aborted
  }

  enum Event {
    /// `mayRetry` is false inside a transaction, where a failure has spoilt what came before.
    case submit(Payload, [StatementKey], mayRetry: Bool)
    case reply(Reply)
    /// The NULL after the results of one command.
    case commandEnd
    /// The server has ended the group; only now the statement is over.
    case sync
  }

  enum Action {
    case send(Payload, Group)
    /// The result just read is what the statement at the head came to, or of several the next one.
    case keepResult
    case dropResult
    case none
    case complete(Payload)
    case violation(String)
  }

  private struct Entry {
    var payload: Payload
    let keys: [StatementKey]
    let group: Group
    let mayRetry: Bool
    var commandsEnded = 0
    var hasReply = false
    /// Its command is nil when committing at the Sync failed.
    var failure: (sqlState: String, command: Group.Command?)?
    var isAbandoned = false

    /// The results come in the order of the commands, so counting tells which one this is; nil when all have ended.
    var command: Group.Command? { group.command(at: commandsEnded) }
  }

  private var inFlight = Fifo<Entry>()
  /// What the server has, or will have when it gets to the statements under way.
  private var names: [StatementKey: String] = [:]
  private var namesMade = 0
  /// Beyond this many, statements are parsed each time under the empty name; the program has fewer.
  private let preparedMax: Int

  init(preparedMax: Int = 256) { self.preparedMax = preparedMax }

  var isEmpty: Bool { inFlight.isEmpty }
  var count: Int { inFlight.count }

  mutating func handle(_ event: Event) -> Action {
    switch event {
    case .submit(let payload, let keys, let mayRetry):
      return submit(payload, keys, mayRetry: mayRetry)
    case .reply(let reply): return receive(reply)
    case .commandEnd: return endCommand()
    case .sync: return synchronise()
    }
  }

  private mutating func submit(
    _ payload: Payload, _ keys: [StatementKey], mayRetry: Bool, isRetry: Bool = false, deallocates: String? = nil
  ) -> Action {
    var group = Group(deallocates: deallocates)
    group.statements.reserveCapacity(keys.count)
    for key in keys {
      if let name = names[key], !isRetry {
        group.statements.append(Group.Statement(prepares: false, name: name))
      } else {
        // A second chance parses for itself, lest it rely on another Parse that fails as well.
        var name = ""
        if names[key] == nil && names.count < preparedMax {
          namesMade += 1
          name = "s\(namesMade)"
          // Known from now on: what is sent later arrives after the Parse.
          names[key] = name
        }
        group.statements.append(Group.Statement(prepares: true, name: name))
      }
    }
    inFlight.append(Entry(payload: payload, keys: keys, group: group, mayRetry: mayRetry))
    return .send(payload, group)
  }

  private mutating func receive(_ reply: Reply) -> Action {
    guard var entry = inFlight.first else { return .violation("a result that no statement waits for") }
    guard !entry.hasReply else { return .violation("two results for one command") }
    let command = entry.command
    if command == nil {
      // The Sync commits the group unless it is part of a longer transaction, and that may fail.
      guard case .failure = reply, entry.failure == nil else { return .violation("a result for no command") }
    }
    entry.hasReply = true
    defer { inFlight.first = entry }
    switch reply {
    case .success:
      guard entry.failure == nil else { return .violation("success after a failure in one group") }
      if case .execute = command { return .keepResult }
      return .dropResult
    case .failure(let sqlState):
      guard entry.failure == nil else { return .violation("two failures in one group") }
      entry.failure = (sqlState, command)
      if case .prepare(let place) = command { forget(entry, place) }
      return .keepResult
    case .aborted:
      guard entry.failure != nil else { return .violation("a command skipped without a failure before it") }
      if case .prepare(let place) = command { forget(entry, place) }
      return .dropResult
    }
  }

  private mutating func endCommand() -> Action {
    guard var entry = inFlight.first, entry.hasReply else { return .violation("an end without a result") }
    if entry.command != nil { entry.commandsEnded += 1 }
    entry.hasReply = false
    inFlight.first = entry
    return .none
  }

  private mutating func synchronise() -> Action {
    guard let entry = inFlight.popFirst() else { return .violation("a Sync that nobody sent") }
    guard entry.command == nil else { return .violation("a Sync before the end of its commands") }
    if let place = stalePlace(in: entry) {
      // Only the first of several in flight throws the old form away; the others find the new one.
      let name = entry.group.statements[place].name
      let isCurrent = names[entry.keys[place]] == name
      forget(entry, place)
      if entry.mayRetry && !entry.isAbandoned {
        let deallocates = isCurrent && entry.failure?.sqlState == "0A000" ? name : nil
        return submit(entry.payload, entry.keys, mayRetry: false, isRetry: true, deallocates: deallocates)
      }
    }
    return entry.isAbandoned ? .none : .complete(entry.payload)
  }

  /// The statement that failed only because the server's prepared form is out of date (0A000, after a change of
  /// schema) or gone (26000, also when the Parse it relied on failed). Never one whose form this group itself prepared.
  private func stalePlace(in entry: Entry) -> Int? {
    guard let failure = entry.failure, case .execute(let place) = failure.command,
      !entry.group.statements[place].prepares
    else { return nil }
    return failure.sqlState == "0A000" || failure.sqlState == "26000" ? place : nil
  }

  private mutating func forget(_ entry: Entry, _ place: Int) {
    if names[entry.keys[place]] == entry.group.statements[place].name { names[entry.keys[place]] = nil }
  }

  /// Gives up the statements that `isDue` picks: their results will be dropped, their places stay in the order.
  mutating func abandon(where isDue: (Payload) -> Bool) -> [Payload] {
    var abandoned: [Payload] = []
    inFlight.forEach { entry in
      guard !entry.isAbandoned, isDue(entry.payload) else { return }
      entry.isAbandoned = true
      abandoned.append(entry.payload)
    }
    return abandoned
  }

  /// Ends the connection: whoever still waits.
  mutating func drain() -> [Payload] {
    var waiting: [Payload] = []
    while let entry = inFlight.popFirst() {
      if !entry.isAbandoned { waiting.append(entry.payload) }
    }
    names = [:]
    return waiting
  }
}
