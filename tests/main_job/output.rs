//! What programs print, as the server has it.

use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn odd_output_arrives_collapsed_replaced_whole_and_in_order() {
    let world = World::new().await;
    let script = r"
import sys
out = sys.stdout.buffer
out.write(b'first\n')
for percent in range(0, 101, 10):
    out.write(b'\rprogress %d%%' % percent)
out.write(b'\nwindows\r\n')
out.write(b'caf\xc3\xa9 and \xff\xfe bad\n')
out.write(b'nul\x00inside\n')
out.write(b'begin' + b'x' * 100_000 + b'end\n')
out.write('na\u00efve \u65e5\u672c\n'.encode() * 3)
out.write(b'last without newline')
out.flush()
";
    let task = world.submit(script, "").await;
    let log = world.completes(&task).await;
    assert!(log.contains("\nprogress 100%\n") && !log.contains("progress 90%"), "{log}");
    assert!(log.contains("\nwindows\n") && !log.contains('\r'), "carriage returns are gone");
    assert!(log.contains("café and \u{fffd}\u{fffd} bad\n"), "{log}");
    assert!(log.contains("nul\0inside\n") || log.contains("nul\u{fffd}inside\n"), "the line of the NUL");
    assert!(log.contains(&format!("begin{}end\n", "x".repeat(100_000))), "a long line arrives whole");
    assert_eq!(log.matches("na\u{ef}ve \u{65e5}\u{672c}\n").count(), 3);
    assert!(log.contains("last without newline"), "{log}");
    let places: Vec<_> = ["first\n", "progress 100%", "windows", "nul", "begin", "last without"]
        .iter()
        .map(|text| log.find(text).expect("there"))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    // What the host shows is what was printed, byte for byte.
    let local = world.ctl(&["run", "logs", task.as_str()]);
    assert!(local.status.success(), "{local:?}");
    let local = String::from_utf8_lossy(&local.stdout);
    assert!(local.contains("last without newline") && local.contains("café"), "{local}");
}
