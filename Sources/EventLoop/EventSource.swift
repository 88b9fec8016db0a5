/// Something that has work of its own on every turn of a loop, such as a libmicrohttpd daemon run from outside.
public protocol EventSource: AnyObject {
  /// Does what is ready without blocking. Called on the loop before it waits, once a turn.
  /// - Returns: the longest time until the next call is due, or nil when only a descriptor or a job makes one due.
  func turn() -> Duration?
}
