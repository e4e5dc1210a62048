"""What several tests share: clips, painters, servers, pages; no test is in here."""
