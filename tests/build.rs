//! Compiles the kernel programs of the benchmark and tells the harness where the object is.

#[path = "../sg-ebpf/object.rs"]
mod object;

fn main() {
    match object::build("sg-ebpf-bench") {
        Ok(object) => println!("cargo::rustc-env=SG_BENCH_OBJ={}", object.display()),
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
        }
    }
}
