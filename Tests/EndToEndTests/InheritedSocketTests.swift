import Foundation
import Synchronization
import TestHarness
import Testing

@Suite(.serialized) struct InheritedSocketTests {
  @Test func itIsListenedOnAndARestartRefusesNobody() async throws {
    let (handle, port) = try listeningSocket()
    let service = RunningService()
    try await service.start(inherited: handle)
    #expect(service.address == "http://127.0.0.1:\(port)")

    // A connection each, so that every loop gets some, over a stop and a start.
    let stopped = Flag()
    async let outcomes = askUntil(stopped, "http://127.0.0.1:\(port)")
    #expect(await service.end(SIGTERM) == 0)
    try await service.start(inherited: handle)
    #expect(try await service.client(key: nil).get("/readyz?writes").status == 200)
    stopped.set()
    let (statuses, failures) = await outcomes
    #expect(failures == [])
    #expect(statuses.contains(200) && statuses.isSubset(of: [200, 503]), "\(statuses)")
    #expect(await service.end(SIGTERM) == 0)
  }

  /// Asks with a new connection each time.
  private func askUntil(_ stopped: Flag, _ base: String) async -> (statuses: Set<Int>, failures: [String]) {
    await withTaskGroup(of: (Set<Int>, [String]).self) { group in
      for _ in 0..<4 {
        group.addTask {
          var statuses: Set<Int> = []
          var failures: [String] = []
          repeat {
            do {
              let headers = ["Connection": "close"]
              statuses.insert(try await APIClient(base: base).get("/healthz", headers: headers).status)
            } catch { failures.append("\(error)") }
          } while !stopped.isSet
          return (statuses, failures)
        }
      }
      return await group.reduce(into: (statuses: [], failures: [])) { total, part in
        total.statuses.formUnion(part.0)
        total.failures += part.1
      }
    }
  }

  @Test func whatCannotBeListenedOnIsSaid() async throws {
    let wrong = [("1", "3</dev/null", "not a socket that listens"), ("2", "", "2 inherited sockets")]
    for (count, redirection, sentence) in wrong {
      let file = TemporaryDirectory.make() + "/errors"
      let script = "LISTEN_PID=$$ LISTEN_FDS=\(count) exec \"$0\" serve 2> \"$1\" \(redirection)"
      #expect(Shell.run(["/bin/sh", "-c", script, Program.path, file]) == 1)
      let errors = try String(contentsOfFile: file, encoding: .utf8)
      #expect(errors.contains(sentence), "\(errors)")
    }
  }
}
