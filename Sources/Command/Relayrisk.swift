@main struct Relayrisk { static func main() {} }
