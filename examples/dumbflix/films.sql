-- The catalogue. `hue` and `motif` say how pages.py draws the poster. All films are invented.
CREATE TABLE films (
  id INTEGER PRIMARY KEY,
  title TEXT NOT NULL,
  year INTEGER NOT NULL,
  minutes INTEGER NOT NULL,
  genre TEXT NOT NULL,
  rating REAL NOT NULL,
  director TEXT NOT NULL,
  about TEXT NOT NULL,
  hue INTEGER NOT NULL,
  motif TEXT NOT NULL
);

INSERT INTO films (title, year, minutes, genre, rating, director, about, hue, motif) VALUES
('The Last Gate',          2024, 118, 'Adventure', 8.7, 'Ratna Wulan',     'Two gatekeepers guard one road. When one of them falls asleep, nobody on the road may notice.', 265, 'gate'),
('Monsoon Platform',       2019, 104, 'Drama',     8.1, 'Bagas Prayitno',  'A night train is late by eleven years, and one passenger has been waiting all the while.', 205, 'rain'),
('Round Robin',            2021,  96, 'Comedy',    7.9, 'Lia Hartono',     'Four siblings inherit one warung and must take strict turns. Nobody agreed on who is first.', 28, 'planets'),
('Salt and Signal',        2023, 127, 'Science',   8.4, 'Yohanes Tobing',  'A lighthouse engineer hears an answer to a message that she has not sent yet.', 188, 'waves'),
('Two Copies of Me',       2022, 110, 'Thriller',  8.3, 'Dewi Anjani',     'She wakes up, goes to work and finds herself already there. Both of them are on time.', 328, 'twins'),
('Uptime',                 2020,  88, 'Documentary', 7.6, 'Arif Setiadi',  'Nine hundred and ninety-nine days in the life of a server under a staircase in Bandung.', 140, 'grid'),
('Paper Kites of Kintamani', 2017, 92, 'Family',   8.0, 'Made Suryani',    'The smallest kite of the village is lost above the crater, and three children go after it.', 12, 'kite'),
('A Quiet Failover',       2025, 101, 'Thriller',  8.8, 'Ratna Wulan',     'A city loses its power for one second. Only the man who caused it knows that it did.', 230, 'skyline'),
('Cinnamon Station',       2018,  99, 'Romance',   7.4, 'Lia Hartono',     'A botanist and a space courier share a kitchen, four months a year, on different sides of the Moon.', 350, 'planets'),
('Ombak',                  2016, 113, 'Drama',     7.8, 'Yohanes Tobing',  'A retired surfer teaches a deaf girl to read the sea, and learns to be quiet.', 196, 'waves'),
('The Weight of Two',      2023, 121, 'Drama',     8.2, 'Dewi Anjani',     'A ferry may carry three. The older brother always steps in twice.', 48, 'twins'),
('Mountain Without Name',  2015, 134, 'Adventure', 8.5, 'Bagas Prayitno',  'The map says there is nothing there. Four students climb it anyway, one sandal short.', 160, 'peaks'),
('Retry After',            2024,  94, 'Comedy',    7.7, 'Arif Setiadi',    'A shy clerk answers every question with "please come back later", until somebody does.', 82, 'gate'),
('Neon Angkot',            2021, 107, 'Action',    7.5, 'Gita Maharani',   'The fastest minibus of Bogor has one rule: no route is ever closed, it is only moved.', 300, 'skyline'),
('The Rain Archive',       2019, 116, 'Science',   8.0, 'Gita Maharani',   'Someone has recorded every drop since 1950. Someone else wants one of them deleted.', 215, 'rain'),
('Orchid Protocol',        2022, 125, 'Action',    7.3, 'Made Suryani',    'Two agents, one flower, and a handshake that must never be completed.', 288, 'kite'),
('Grandmother''s Firewall', 2020, 89, 'Family',    8.6, 'Lia Hartono',     'Nobody gets past Oma. Not the salesman, not the suitor, and certainly not the bulldozer.', 18, 'peaks'),
('Eleven Idle Stars',      2026, 109, 'Science',   8.1, 'Ratna Wulan',     'A telescope finds a constellation that moves only when nobody is looking.', 250, 'grid');
