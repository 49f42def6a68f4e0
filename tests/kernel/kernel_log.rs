//! The kernel side's log: silent until it is asked for.

use std::sync::Mutex;

use fakeapi::datapath::{EdgeOptions, Options};
use log::{LevelFilter, Log, Metadata, Record};

use crate::frames::{self, SYN};
use crate::{load, need_datapath};
use fakeapi_tests::namespace::Namespace;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collect;

impl Log for Collect {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        if line.starts_with("edge link=") {
            LINES.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

#[test]
fn the_log_is_switched_at_run_time() {
    need_datapath!("the_log_is_switched_at_run_time");
    log::set_logger(&Collect).expect("no other test sets a logger");
    log::set_max_level(LevelFilter::Debug);
    Namespace::new().run(|| {
        let datapath = load(Options::default());
        datapath.attach_edge("lo", EdgeOptions::default()).unwrap();
        let frame = frames::tcp_v4([192, 0, 2, 1].into(), [192, 0, 2, 3].into(), SYN, b"");
        let lines_after = |frames: usize| {
            for _ in 0..frames {
                datapath.try_edge(&frame).unwrap();
            }
        };
        lines_after(3);
        datapath.set_kernel_log(true).unwrap();
        datapath.set_kernel_log(true).expect("again is no error");
        lines_after(2);
        // Switching off waits until everything was read.
        datapath.set_kernel_log(false).unwrap();
        lines_after(3);
        datapath.set_kernel_log(true).unwrap();
        lines_after(1);
        drop(datapath);
        let line = format!("edge link=1 reason=0 bytes={}", frame.len());
        assert_eq!(*LINES.lock().unwrap(), [line.clone(), line.clone(), line]);
    });
}
