use super::*;
use crate::app::Doctor;

/// What is in the archive, by the names of its files.
fn unpacked(archive: &[u8]) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        assert_eq!(entry.header().mode().unwrap() & 0o777, 0o600);
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), text)
    });
    entries.collect()
}

#[tokio::test]
async fn what_is_listed_is_what_is_packed_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path());
    std::fs::write(
        home.settings(),
        "[connectors.x]\ntitle = \"X\"\ncommand = [\"mcp-x\", \"hunter2-hunter2\"]\n",
    )
    .unwrap();
    let log = RotatingFile::open(home.log(), 1000, 3).unwrap();
    log.append(b"INFO hunter2-hunter2 was said\n");
    let examination = Doctor::beside(home.clone()).examine().await;
    let diagnostics = Diagnostics::collect(&home, &examination).await.unwrap();
    let list = diagnostics.to_string();
    let packed = unpacked(&diagnostics.archive().unwrap());
    assert_eq!(packed[0], ("LIST.txt".to_owned(), list.clone()));
    assert_eq!(packed.len(), diagnostics.entries().len() + 1);
    for ((name, text), entry) in packed[1..].iter().zip(diagnostics.entries()) {
        assert_eq!((name.as_str(), text), (entry.name, &entry.text));
        assert!(list.contains(name) && list.contains(entry.about), "{list}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let text = |name: &str| packed.iter().find(|(it, _)| it == name).unwrap().1.clone();
    assert_eq!(text("deskgate.log"), "INFO [taken out] was said\n");
    assert!(text("settings.txt").contains("Connector x: the program mcp-x with 1 argument and 0 variables"));
    assert!(diagnostics.file_name().ends_with(".tar.gz") && !diagnostics.file_name().contains(':'));
}

#[test]
fn the_end_of_the_log_is_taken_in_whole_lines_over_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deskgate.log");
    let log = RotatingFile::open(&path, 200 * 1024, program_log::FILES).unwrap();
    for number in 0..40_000 {
        log.append(format!("line {number:05}\n").as_bytes());
    }
    let end = recent_log(&path);
    assert!(u64::try_from(end.len()).unwrap() <= MOST_LOG && end.len() > 200 * 1024, "{}", end.len());
    assert!(end.ends_with("line 39999\n"));
    assert!(end.lines().all(|line| line.len() == 10), "whole lines");
}
